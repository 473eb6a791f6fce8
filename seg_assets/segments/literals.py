"""The small notations inside a definition: durations, windows, counts, tests and percentages. Text in, AST out; no places here.

Every function raises `NotationError` with what is wrong and what to write instead; `parse.py` adds where.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from seg_assets.segments.ast import (
    Between,
    Calendar,
    Compare,
    Count,
    Cut,
    Ever,
    Fixed,
    Micros,
    MinSize,
    Missing,
    Not,
    OneOf,
    Operator,
    Present,
    Rolling,
    Scalar,
    Test,
    Unit,
    Window,
)
from seg_assets.segments.catalog import Field, suggestion

SECOND = 1_000_000
LENGTHS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86_400 * SECOND, "w": 7 * 86_400 * SECOND}
LONGEST = 100 * 366 * LENGTHS["d"]
UNITS = ("hour", "day", "week", "month", "quarter")

_DURATION = re.compile(r"(?:\d{1,9}[smhdw])+")
_COMPARISON = re.compile(r"(<=|>=|<|>|=)\s*(.+)")
_EXTREME = re.compile(r"(top|bottom)\s+(\d+(?:\.\d+)?)\s*%")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")


class NotationError(ValueError):
    """A notation can't be read. `hint` says what to write instead."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def duration(value: Any) -> Micros:
    """`10m`, `48h`, `7d`, `10m01s`: exact lengths, never a month."""
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        calendar_word = isinstance(value, str) and re.search(r"mo|y|q|M", value)
        hint = "a month has no fixed length: write 30d, or a calendar window such as `last month`" if calendar_word else "write e.g. 10m, 48h or 7d"
        raise NotationError(f"{value!r} is not a duration", hint)
    length = sum(int(number) * LENGTHS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", value))
    if length > LONGEST:
        raise NotationError(f"{value!r} is longer than 100 years", "write `ever`")
    return length


def span(value: Any) -> Micros:
    """A duration longer than zero."""
    length = duration(value)
    if not length:
        raise NotationError("a window of zero length holds no events", "write e.g. 1h")
    return length


def window(value: Any) -> Window:
    """`7d`, `last month`, `this week`, `90d..30d`, `2024-01-01..2024-03-31` or `ever`."""
    if value == "ever":
        return Ever()
    words = value.split() if isinstance(value, str) else []
    if len(words) == 2 and words[0] in {"last", "this"}:
        if words[1] not in UNITS:
            raise NotationError(f"{words[1]!r} is not a calendar unit", suggestion(words[1], UNITS) or f"one of {', '.join(UNITS)}")
        return Calendar(cast(Any, words[0]), cast(Unit, words[1]))
    if isinstance(value, str) and ".." in value:
        return _between(*(part.strip() for part in value.split("..", 1)))
    if isinstance(value, str) and not value[:1].isdigit():
        raise NotationError(f"{value!r} is not a window", "a duration such as 7d, last/this hour|day|week|month|quarter, A..B, or ever")
    return Rolling(span(value))


def _between(first: str, second: str) -> Window:
    if _DURATION.fullmatch(first) and _DURATION.fullmatch(second):
        older, newer = duration(first), duration(second)
        if older <= newer:
            raise NotationError(f"the window {first}..{second} is empty", "the older end stands first, e.g. 90d..30d")
        return Rolling(older, newer)
    start, end = moment(first), moment(second)
    if isinstance(start, dt.datetime) != isinstance(end, dt.datetime):
        raise NotationError(f"{first}..{second} mixes a date and an instant", "write two dates, or two instants")
    if start > end or (start == end and isinstance(start, dt.datetime)):
        raise NotationError(f"the window {first}..{second} is empty", "the earlier end stands first")
    return Fixed(start, end)


def moment(value: Any) -> dt.date | dt.datetime:
    """A date, or an instant with its UTC offset."""
    try:
        if not isinstance(value, str) or not value[:1].isdigit():
            raise ValueError
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            day = dt.date.fromisoformat(value)
            if not 1900 <= day.year <= 2200:
                raise NotationError(f"the year of {value!r} is out of range", "1900 to 2200")
            return day
        instant = dt.datetime.fromisoformat(value)
    except ValueError as error:
        if isinstance(error, NotationError):
            raise
        raise NotationError(f"{value!r} is not a date or an instant", "write 2024-01-31 or 2024-01-31T10:00:00Z") from None
    if instant.tzinfo is None:
        raise NotationError(f"{value!r} has no UTC offset", "add Z or e.g. +01:00")
    if not 1900 <= instant.year <= 2200:
        raise NotationError(f"the year of {value!r} is out of range", "1900 to 2200")
    return instant.astimezone(dt.UTC)


def count(value: Any) -> Count:
    """`3` (exactly), `>=2`, `<3`, `2..4`."""
    parsed = _numbers(value)
    if parsed is None:
        raise NotationError(f"{value!r} is not a count", 'write e.g. 3, ">=2", "<3" or 2..4')
    low, high = parsed
    if high is not None and high < max(low, 0):
        raise NotationError(f"no number of events is {value}", 'counts start at 0; write e.g. "<1" for none')
    return Count(max(low, 0), high)


def _numbers(value: Any) -> tuple[int, int | None] | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    if not isinstance(value, str):
        return None
    if match := re.fullmatch(r"(\d{1,9})\s*\.\.\s*(\d{1,9})", value):
        return int(match[1]), int(match[2])
    if match := re.fullmatch(r"(<=|>=|<|>|=)?\s*(\d{1,9})", value):
        n = int(match[2])
        return {">=": (n, None), ">": (n + 1, None), "<=": (0, n), "<": (0, n - 1)}.get(match[1], (n, n))
    return None


def percent(value: Any) -> Decimal:
    """`10%` as a share 0..1."""
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if not match or Decimal(match[1]) > 100:
        raise NotationError(f"{value!r} is not a percentage", "write e.g. 10%")
    return Decimal(match[1]) / 100


def min_size(value: Any) -> MinSize:
    """`200` persons or `1%` of them."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return MinSize(count=value)
    if isinstance(value, str) and value.endswith("%"):
        return MinSize(share=percent(value))
    raise NotationError(f"{value!r} is not a size", "write a number of persons or a share such as 1%")


def test(value: Any, field: Field) -> Test:
    """A test on a value of `field`."""
    if isinstance(value, dict):
        if set(value) != {"not"}:
            raise NotationError(
                f"a test is a value, a range, a comparison or a list, not a mapping with {', '.join(map(str, value)) or 'nothing'}", "{not: test}"
            )
        inner = test(value["not"], field)
        if isinstance(inner, Missing | Present):
            other = "present" if isinstance(inner, Missing) else "missing"
            raise NotationError("{not: ...} already asks for a value to be present", f"write {other}")
        return Not(inner)
    if isinstance(value, list):
        if not value:
            raise NotationError("an empty list matches nobody", "name at least one value")
        return OneOf(tuple(sorted({scalar(v, field) for v in value}, key=str)))
    if value is None:
        raise NotationError("null is not a test", "write missing")
    if value == "missing":
        return Missing()
    if value == "present":
        return Present()
    return _ordered(value, field) if isinstance(value, str) else Compare("=", scalar(value, field))


def _ordered(value: str, field: Field) -> Test:
    """Comparisons, ranges and cuts, which need a type with an order."""
    compare, extreme = _COMPARISON.fullmatch(value), _EXTREME.fullmatch(value)
    is_ordered = field.numeric or field.type in {"timestamp", "date"}
    if (compare or extreme) and not is_ordered:
        raise NotationError(f"{field.name} is {field.type}: it has no order, so {value!r} can't be tested", "write a value, a list, or {not: value}")
    if extreme:
        return Compare(">=" if extreme[1] == "top" else "<=", _cut(extreme[2], extreme[1] == "top", field))
    if compare:
        return Compare(cast(Operator, compare[1]), _bound(compare[2], field))
    if is_ordered and ".." in value:
        low, high = (_bound(part.strip(), field) for part in value.split("..", 1))
        if not isinstance(low, Cut) and not isinstance(high, Cut) and cast(Any, low) > cast(Any, high):
            raise NotationError(f"the range {value} is empty", "the lower end stands first")
        return Between(low, high)
    return Compare("=", scalar(value, field))


def _bound(text: str, field: Field) -> Scalar | Cut:
    match = _PERCENTILE.fullmatch(text)
    return _cut(match[1], False, field) if match else scalar(text, field)


def _cut(digits: str, top: bool, field: Field) -> Cut:
    share = Decimal(digits)
    if not field.numeric:
        raise NotationError(f"{field.name} is {field.type}: only numbers have percentiles")
    if field.json:
        raise NotationError(f"{field.name} is a property: only attributes have percentiles")
    if not 0 < share <= 100:
        raise NotationError(f"{digits}% is not more than 0% and at most 100%")
    return Cut(share, top)


def scalar(value: Any, field: Field) -> Scalar:
    """A literal of the field's type."""
    kind = field.type
    if field.values is not None and isinstance(value, str) and value not in field.values:
        raise NotationError(f"{value!r} is not a value of {field.name}", suggestion(value, field.values) or f"one of {', '.join(field.values)}")
    if kind == "boolean" and isinstance(value, bool):
        return value
    if field.numeric:
        return _number(value, field)
    if kind == "string" and isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    if kind in {"timestamp", "date"} and isinstance(value, str):
        found = moment(value)
        if kind == "date" and isinstance(found, dt.datetime):
            raise NotationError(f"{field.name} is a date, {value!r} is an instant", "write 2024-01-31")
        return found
    hints = {"boolean": "write true or false", "string": "put it in quotes", "date": "write 2024-01-31"}
    raise NotationError(f"{field.name} is {kind}, {value!r} is not", hints.get(kind))


def _number(value: Any, field: Field) -> int | Decimal:
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, bool) or not _NUMBER.fullmatch(text):
        raise NotationError(f"{field.name} is a number, {value!r} is not", 'write e.g. 5, ">=5" or 5..9')
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise NotationError(f"{value!r} is not a number") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(number) >= 10**18 or exponent < -9:
        raise NotationError(f"{value!r} is out of range", "less than 10^18, at most nine decimals")
    return int(number) if number == number.to_integral_value() else number.normalize()
