"""Plausible people for stand-ins to hold: the synthetic shop's customers, one entry per e-mail address, with what they allowed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

SETTLED = {"granted": "granted", "opt_in": "granted", "yes": "granted", "denied": "denied", "opt_out": "denied", "no": "denied"}
"""What the shop's spellings of a consent mean; any other word is a withdrawal or nothing."""
WITHDRAWN = {"withdrawn", "revoked"}


@dataclass(frozen=True)
class Statement:
    """What a person said about one purpose: "granted", "denied" or "withdrawn", since when, and until when if it ends."""

    state: str
    at: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class Person:
    """Somebody a vendor may know. `email` is lower case and unique, `phone` is E.164; what is not known is ""."""

    email: str
    user_id: str = ""
    phone: str = ""
    first_name: str = ""
    last_name: str = ""
    country: str = ""
    city: str = ""
    language: str = ""
    gender: str = ""
    birth_date: str = ""
    created_at: datetime = datetime(2025, 7, 1, tzinfo=UTC)
    updated_at: datetime = datetime(2025, 7, 1, tzinfo=UTC)
    consents: Mapping[str, Statement] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)


def people(customers: int, seed: int) -> list[Person]:
    """The customers of a shop whose e-mail address is known, in order of address.

    Args:
        customers: size of the shop; somewhat fewer people come out.
        seed: another seed, other people.
    """
    from connectors.shop.config import ShopConfig

    config = ShopConfig(customers=customers, seed=seed)
    rows = {stream: list(_rows(config, stream)) for stream in ("crm", "storefront", "consents", "enrichment")}
    found: dict[str, dict[str, Any]] = {}
    emails: dict[str, str] = {}
    for row in (*rows["crm"], *rows["storefront"]):
        if email := _email(row["email"]):
            known = found.setdefault(email, {})
            known.update({name: value for name, value in row.items() if value and not known.get(name)})
            emails.setdefault(row["user_id"] or "", email)
    consents = _consents(rows["consents"], emails)
    attributes: dict[str, dict[str, str]] = {}
    for row in rows["enrichment"]:
        attributes.setdefault(_email(row["email"]), {})[row["attribute"]] = row["value"]
    return [_person(email, found[email], consents.get(email, {}), attributes.get(email, {})) for email in sorted(found)]


def _person(email: str, known: Mapping[str, Any], consents: Mapping[str, Statement], attributes: Mapping[str, str]) -> Person:
    words = ("user_id", "phone", "first_name", "last_name", "city", "language", "gender", "birth_date")
    texts = {name: str(known.get(name) or "") for name in words}
    created, country = known["created_at"], str(known.get("country") or "").upper()
    texts["phone"] = _phone(texts["phone"], country)
    return Person(
        email,
        **texts,
        country=country,
        created_at=created,
        updated_at=max(created, known.get("updated_at") or created),
        consents=consents,
        attributes=attributes,
    )


def _consents(rows: Iterable[Mapping[str, Any]], emails: Mapping[str, str]) -> dict[str, dict[str, Statement]]:
    """The latest statement per address and purpose; what can't be understood is left out."""
    found: dict[str, dict[str, Statement]] = {}
    for row in rows:
        email = _email(row["email"]) or emails.get(row["user_id"] or "", "")
        word = str(row["state"]).casefold()
        state = "withdrawn" if word in WITHDRAWN else SETTLED.get(word)
        at = _instant(row["stated_at"])
        if not (email and state and at and row["purpose"]):
            continue
        mine = found.setdefault(email, {})
        if row["purpose"] not in mine or mine[row["purpose"]].at < at:
            mine[row["purpose"]] = Statement(state, at, row["expires_at"])
    return found


def _rows(config: Any, stream: str) -> Iterator[Mapping[str, Any]]:
    from connectors.shop.source import ShopSource
    from connectors.types import Context

    after = datetime.combine(config.end + timedelta(days=1), time(), UTC)
    for page in ShopSource(config).read(stream, None, Context(after, Path(), Path())):
        yield from page.rows.to_pylist() if page.rows is not None else ()


def _email(text: Any) -> str:
    email = str(text or "").strip().casefold()
    name, _, domain = email.partition("@")
    return email if name and name != "none" and "." in domain else ""


def _phone(text: str, country: str) -> str:
    """E.164, or "" for what is no number."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, country or None)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_possible_number(number) else ""


def _instant(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return at if at.tzinfo else None


def seed_all(emulations: Sequence[Any], customers: int, seed: int) -> int:
    """Fills those stand-ins that hold nobody yet; returns how many people they were given.

    Raises:
        pydantic.ValidationError: the size or the seed is out of range.
    """
    empty = [emulation for emulation in emulations if not emulation.store.query("select count(*) from records")[0][0]]
    some = people(customers, seed) if empty else []
    for emulation in empty:
        with emulation.store.transaction():
            emulation.seed(some)
    return len(some)
