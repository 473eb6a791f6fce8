"""What an answer means: ordered rules over status, headers and body, and what is said about single rows. No network, no waiting.

The first rule that fits decides: those of the endpoint, then those of the vendor, then `DEFAULTS`. What no rule knows is never taken for success.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from connectors.http.client import Answered
from connectors.http.jsonpath import Path
from connectors.types import Verdict


class Action(StrEnum):
    """What is to be done after an answer."""

    OK = "OK"
    """Done, if `success_when` holds."""
    ROW_ERRORS = "ROW_ERRORS"
    """The answer says what became of each row."""
    SPLIT = "SPLIT"
    """Nothing was applied because of some row; halves are to be sent."""
    RETRY = "RETRY"
    """A passing failure."""
    RATE_LIMITED = "RATE_LIMITED"
    """Nothing was applied; not before a while."""
    REFRESH_TOKEN = "REFRESH_TOKEN"
    """The access token is no longer good: get a new one and repeat, once."""
    SKIP_ROW = "SKIP_ROW"
    """The rows are refused for good, others are not affected."""
    FAIL_CONFIG = "FAIL_CONFIG"
    """Credentials, permissions or address are wrong; nobody but the user can help."""
    FAIL_PERMANENT = "FAIL_PERMANENT"
    """Refused; repeating will not help."""
    IN_DOUBT = "IN_DOUBT"
    """It may or may not have been applied."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(value: Any) -> float:
    """Seconds of a number or of a text such as "10s", "1m" or "1d"."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value)):
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError("write a duration as 500ms, 10s, 1m, 1h or 1d")


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0)]


class Expected(_Model):
    """What a JSONPath must find when a plain value is not enough."""

    matches: re.Pattern[str] | None = Field(None, description="Regular expression found in one of the texts or numbers.")
    present: bool | None = Field(None, description="Whether anything is found at all.")

    def fits(self, found: Sequence[Any]) -> bool:
        if self.present is not None and bool(found) is not self.present:
            return False
        return self.matches is None or any(isinstance(one, str | int) and self.matches.search(str(one)) for one in found)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Status = Annotated[str, BeforeValidator(str), StringConstraints(pattern=r"^[1-5](\d\d|xx)$")]
"""A status such as 404, or a class of them such as 4xx."""
Scalar = str | int | float | bool | None


class Condition(_Model):
    """Holds when everything it states holds; an empty one always does."""

    status: Annotated[tuple[Status, ...], BeforeValidator(_listed)] = Field((), description="Any of these.")
    header: dict[str, re.Pattern[str]] = Field(default_factory=dict, description="Header name to a regular expression found in its value.")
    json_: dict[Path, Expected | Scalar | tuple[Scalar, ...]] = Field(
        default_factory=dict, alias="json", description="JSONPath to the value, or one of the values, that something it finds equals."
    )
    text: re.Pattern[str] | None = Field(default=None, description="Regular expression found in the first 64 KiB of the body.")

    def holds(self, answer: Answered) -> bool:
        """Whether the answer is as stated."""
        if self.status and str(answer.status) not in self.status and f"{answer.status // 100}xx" not in self.status:
            return False
        if any(not pattern.search(answer.headers.get(name.lower(), "")) for name, pattern in self.header.items()):
            return False
        if self.text and not self.text.search((answer.body or b"")[:65_536].decode("utf-8", "replace")):
            return False
        return all(_fits(path.find(answer.json), expected) for path, expected in self.json_.items())


class Rule(Condition):
    """What to do when a condition holds."""

    do: Action = Field(description="What to do.")
    wait: Duration | None = Field(default=None, description="Pause at least so long before trying again, where the answer does not ask for more.")
    say: str = Field(default="", description="Why, in words that are safe to show; empty: the HTTP status is named.")


class RowAnswers(_Model):
    """Where an answer speaks of single rows."""

    each: Path = Field(description="JSONPath to the entries that speak of a row.")
    verdict: Literal["acked", "rejected"] = Field(description="What these entries mean.")
    key: Path | None = Field(None, description="In an entry: what identifies the row. Absent: the entry's place in its list is the row's place.")
    code: Path | None = Field(None, description="In an entry: the vendor's code word for why.")
    retry: frozenset[str] = Field(frozenset(), description="Codes that will pass: the row may be sent again later.")
    ok: frozenset[str] = Field(frozenset(), description="Codes that mean the row is as wanted already.")


class RowAnswer(NamedTuple):
    """What an answer says of one row. `key` is the vendor's word for it (text), or the row's place in the request (int)."""

    key: str | int
    verdict: Verdict
    code: str = ""


DEFAULTS: tuple[Rule, ...] = (
    Rule(status=("429", "503"), do=Action.RATE_LIMITED),
    Rule(status=("408", "425", "5xx"), do=Action.RETRY),
    Rule(status=("401",), do=Action.FAIL_CONFIG, say="the credentials are refused"),
    Rule(status=("403",), do=Action.FAIL_CONFIG, say="a permission is missing"),
    Rule(status=("3xx",), do=Action.FAIL_CONFIG, say="the answer is a redirect, which is not followed"),
    Rule(status=("2xx",), do=Action.OK),
)
"""Rules for answers that no other rule fits; what is left, 4xx above all, is permanent."""

_MAYBE_APPLIED = frozenset({500, 502, 504, 520, 522, 524})
"""Statuses that a server or a proxy before it may send after the request took effect."""


@dataclass(frozen=True)
class Judgement:
    """What is to be done after an answer.

    Args:
        action: what.
        reason: why, without personal data.
        maybe_applied: whether a failed request may have taken effect.
        wait: seconds to pause at least.
    """

    action: Action
    reason: str = ""
    maybe_applied: bool = False
    wait: float = 0.0


def judge(answer: Answered, rules: Iterable[Rule], success_when: Condition | None) -> Judgement:
    """What an answer means.

    Args:
        answer: status, headers, body.
        rules: in order; `DEFAULTS` follow them.
        success_when: must hold before a 2xx counts as success.
    """
    rule = next((rule for source in (rules, DEFAULTS) for rule in source if rule.holds(answer)), None)
    action, said = (rule.do, rule.say) if rule else (Action.FAIL_PERMANENT, "")
    if action in {Action.OK, Action.ROW_ERRORS}:
        if answer.body is None:
            return Judgement(Action.RETRY, f"http {answer.status}, but the answer broke off or is too large", maybe_applied=True)
        if success_when and not success_when.holds(answer):
            return Judgement(Action.IN_DOUBT, f"http {answer.status}, but the answer does not say that it succeeded", maybe_applied=True)
        return Judgement(action, said)
    reason = f"{said} (http {answer.status})" if said else f"http {answer.status}"
    return Judgement(action, reason, answer.status in _MAYBE_APPLIED, (rule and rule.wait) or 0.0)


def row_answers(answer: Answered, sources: Iterable[RowAnswers]) -> Iterator[RowAnswer]:
    """Everything an answer says of single rows."""
    for source in sources:
        means, key, code_at = Verdict(source.verdict), source.key, source.code
        if key is None and code_at is None:
            yield from [RowAnswer(place, means) for place, _ in source.each.located(answer.json) if isinstance(place, str | int)]
            continue
        for place, entry in source.each.located(answer.json):
            code = code_word(code_at.first(entry)) if code_at else ""
            verdict = means if not code else Verdict.RETRY if code in source.retry else Verdict.ACKED if code in source.ok else means
            for one in (place,) if key is None else key.find(entry):
                if isinstance(one, str | int):
                    yield RowAnswer(one, verdict, "" if verdict is Verdict.ACKED else code)


_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,59}")


def code_word(value: Any) -> str:
    """A vendor's code such as "INVALID_EMAIL" or "1004"; "" for anything that could be more than a code."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if _CODE.fullmatch(text) else ""


def _fits(found: Sequence[Any], expected: Expected | Scalar | tuple[Scalar, ...]) -> bool:
    if isinstance(expected, Expected):
        return expected.fits(found)
    wanted = expected if isinstance(expected, tuple) else (expected,)
    return any(one == want and isinstance(one, bool) is isinstance(want, bool) for one in found for want in wanted)
