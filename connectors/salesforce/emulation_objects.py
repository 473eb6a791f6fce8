"""What the Salesforce stand-in keeps: objects, their fields and rules, record ids. No HTTP here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
PLAIN = frozenset({"string", "textarea", "phone", "id"})
"""Types that any text is of."""
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
_CASES = [a.isupper() | b.isupper() << 1 for a in ALPHABET for b in ALPHABET]
"""Bits for the capitals of each pair, lowest first."""
SYSTEM = {"Id": "id", "CreatedDate": "datetime", "LastModifiedDate": "datetime", "SystemModstamp": "datetime", "IsDeleted": "boolean"}


@dataclass(frozen=True)
class SObject:
    """A kind of record.

    Args:
        prefix: the first three characters of its ids.
        fields: writable field to type.
        required: fields a new record needs.
        external: fields that are external ids, unique.
        pair: fields that together are unique.
    """

    prefix: str
    fields: Mapping[str, str]
    required: tuple[str, ...]
    external: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()
    all: Mapping[str, str] = field(init=False)
    plain: frozenset[str] = field(init=False)
    """Fields that take any text."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "all", {**SYSTEM, **self.fields})
        object.__setattr__(self, "plain", frozenset([name for name, type in self.fields.items() if type in PLAIN]))


_PERSON = {"FirstName": "string", "LastName": "string", "Email": "email", "Phone": "phone", "MobilePhone": "phone", "HasOptedOutOfEmail": "boolean"}
_OURS = {"Seg_Id__c": "string", "Seg_Audiences__c": "textarea", "Seg_Persona__c": "string", "Seg_Score__c": "double", "Seg_Updated__c": "datetime"}
OBJECTS = {
    "Contact": SObject(
        "003", _PERSON | {"MailingCity": "string", "MailingCountry": "string", "Birthdate": "date"} | _OURS, ("LastName",), ("Seg_Id__c",)
    ),
    "Lead": SObject("00Q", _PERSON | {"Company": "string", "City": "string", "Country": "string"} | _OURS, ("LastName", "Company"), ("Seg_Id__c",)),
    "Campaign": SObject("701", {"Name": "string", "IsActive": "boolean", "Seg_Id__c": "string"}, ("Name",), ("Seg_Id__c",)),
    "CampaignMember": SObject(
        "00v",
        {"CampaignId": "id", "ContactId": "id", "LeadId": "id", "Status": "string"},
        ("CampaignId",),
        pair=("CampaignId", "ContactId", "LeadId"),
    ),
}
"""The account's objects. `Seg_...__c` are fields an administrator made for segments; `Seg_Id__c` is the external id."""


@dataclass(frozen=True)
class Fault:
    """Why a row fails, in Salesforce's codes."""

    code: str
    message: str
    fields: tuple[str, ...] = ()


def record_id(prefix: str, number: int) -> str:
    """The 18-character id of a record: prefix, number in base 62, and a check of the letters' case."""
    high, low = divmod(number, 62**4)
    head, checks, case = _head(prefix, high)
    first, second = divmod(low, 62**2)
    return f"{head}{_PAIRS[first]}{_PAIRS[second]}{checks}{CHECK[case | _CASES[first] << 1 | _CASES[second] << 3]}"


@lru_cache(maxsize=1024)
def _head(prefix: str, high: int) -> tuple[str, str, int]:
    """The first 11 characters of an id, the checks of the first 10, and whether the 11th is a capital."""
    digits = ""
    for _ in range(8):
        high, digit = divmod(high, 62)
        digits = ALPHABET[digit] + digits
    head = prefix + digits
    return head, "".join(CHECK[sum(head[part + i].isupper() << i for i in range(5))] for part in (0, 5)), int(head[10].isupper())


def record_number(id: Any) -> int:
    """The number behind an id of 15 or 18 characters; 0 for what is no id."""
    if not isinstance(id, str) or len(id) not in {15, 18} or not set(id) <= set(ALPHABET):
        return 0
    number = 0
    for digit in id[3:15]:
        number = number * 62 + ALPHABET.index(digit)
    return number


def fault_of(kind: SObject, fields: Mapping[str, Any], before: Mapping[str, Any] | None) -> Fault | None:
    """What is wrong with the fields of a row; `before` is the record as it is, None where it is new."""
    for name, value in fields.items():
        if name in kind.plain and isinstance(value, str):
            continue
        type = kind.fields.get(name)
        if type is None:
            return Fault("INVALID_FIELD", f"No such column '{name}' on sobject", (name,))
        if value is not None and not _fits(type, value):
            code = "INVALID_EMAIL_ADDRESS" if type == "email" else "JSON_PARSER_ERROR"
            return Fault(code, f"{name}: invalid {type}", (name,))
    after = fields if before is None else {**before, **fields}
    for name in kind.required:
        if after.get(name) in (None, ""):
            missing = tuple([one for one in kind.required if after.get(one) in (None, "")])
            return Fault("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)
    return None


def converted(kind: SObject, fields: Mapping[str, str]) -> dict[str, Any]:
    """CSV cells as values: empty cells are left out, `#N/A` clears."""
    return {name: None if cell == "#N/A" else _value(kind.all.get(name, "string"), cell) for name, cell in fields.items() if cell != ""}


def _value(kind: str, cell: str) -> Any:
    if kind == "boolean":
        return {"true": True, "false": False}.get(cell.lower(), cell)
    if kind == "double":
        try:
            return float(cell)
        except ValueError:
            return cell
    return cell


def _fits(kind: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "double":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if kind == "email":
        return value == "" or ("@" in value[1:-1] and " " not in value)
    return kind != "date" or _is_date(value)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
