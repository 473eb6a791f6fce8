"""How single values are written in project.yaml: durations, shares, instants, cron lines, zones, currencies, names.

Each is a pydantic type alias; a `ValueError` says what is wrong and how to write it. Models that use them are in `models.py`.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from connectors.words import did_you_mean

_SECONDS = MappingProxyType({"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1})
_DURATION = r"(?:[0-9]+w)?(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?"
_MAX_DURATION = timedelta(days=36_525)

_CRON_FIELDS: tuple[tuple[str, int, int, str], ...] = (
    ("minute", 0, 59, ""),
    ("hour", 0, 23, ""),
    ("day of month", 1, 31, ""),
    ("month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"),
    ("day of week", 0, 7, "sun mon tue wed thu fri sat"),
)

CURRENCIES = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP
    DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD
    KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR
    RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND
    VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905
)
"""ISO 4217 codes of money in circulation (list one, 2025)."""


def parse_duration(value: Any) -> timedelta:
    """A duration such as `90s`, `15m`, `24h`, `7d`, `2w` or `1h30m`: exact seconds, never a calendar month.

    Raises:
        ValueError: it is not written like that, is zero, or is longer than a century.
    """
    if isinstance(value, timedelta):
        return value
    text = value if isinstance(value, str) else ""
    if not text or not re.fullmatch(_DURATION, text):
        raise ValueError(f"{value!r} is not a duration; write it like 90s, 15m, 24h or 7d")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([wdhms])", text))
    if not 0 < seconds <= _MAX_DURATION.total_seconds():
        raise ValueError(f"{value!r} must be longer than nothing and at most a hundred years")
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """The shortest text `parse_duration` reads as `value` (whole seconds)."""
    rest, text = int(value.total_seconds()), ""
    for unit, size in _SECONDS.items():
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text


def _share(value: Any) -> float:
    number = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?%", value) if isinstance(value, str) else None
    share = float(Decimal(number[1]) / 100) if number else value
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ValueError(f"{value!r} is not a share; write a percentage from 0% to 100%, or a number from 0 to 1")
    return float(share)


def parse_instant(value: Any) -> datetime:
    """An instant in ISO 8601 with its offset, in UTC.

    Raises:
        ValueError: it is not an instant, or has no offset.
    """
    try:
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is not an instant; write it like 2026-07-01T00:00:00Z") from None
    if instant.tzinfo is None:
        raise ValueError(f"{value!r} has no offset; write it like 2026-07-01T00:00:00Z or 2026-07-01T00:00:00+02:00")
    return instant.astimezone(UTC)


def _zone(name: str) -> str:
    zones = zoneinfo.available_timezones()
    if name not in zones:
        raise ValueError(f"{name!r} is not an IANA time zone like Europe/Berlin{did_you_mean(name, zones, lead='; ')}")
    return name


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError(f"{code!r} is not an ISO 4217 currency code like EUR{did_you_mean(code, CURRENCIES, lead='; ')}")
    return code


def _region(code: str) -> str:
    from phonenumbers import SUPPORTED_REGIONS

    if code not in SUPPORTED_REGIONS:
        raise ValueError(f"{code!r} is not an ISO 3166 country code like DE{did_you_mean(code, SUPPORTED_REGIONS, lead='; ')}")
    return code


def _cron(line: str) -> str:
    fields = line.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError(f"{line!r} is not a cron line: it has {len(fields)} fields, not 5 (minute hour day month weekday)")
    for text, (name, low, high, names) in zip(fields, _CRON_FIELDS, strict=True):
        words = {word: str(low + i) for i, word in enumerate(names.split())}
        for part in text.lower().split(","):
            span, _, step = part.partition("/")
            ends = [words.get(end, end) for end in span.split("-")]
            whole = span == "*" or (len(ends) <= 2 and all(re.fullmatch("[0-9]{1,2}", end) for end in ends))
            bounds = [low, high] if span == "*" or not whole else [int(end) for end in ends]
            stepped = "/" not in part or (re.fullmatch("[1-9][0-9]?", step) and int(step) <= high and len({*bounds}) > 1)
            if not whole or not stepped or not low <= bounds[0] <= bounds[-1] <= high:
                raise ValueError(f"{line!r} is not a cron line: {part!r} is no {name} ({low}-{high})")
    return line


class IntRange(NamedTuple):
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int


def _int_range(value: Any) -> IntRange:
    ends = re.fullmatch(r"([0-9]{1,9})\.\.([0-9]{1,9})", value) if isinstance(value, str) else None
    if isinstance(value, IntRange):
        return value
    if ends and int(ends[1]) <= int(ends[2]):
        return IntRange(int(ends[1]), int(ends[2]))
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return IntRange(value, value)
    raise ValueError(f"{value!r} is not a range of whole numbers; write it like 3..12, or one number")


def _text(title: str, pattern: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"title": title, "type": "string", "pattern": f"^{pattern}$", **more})


SLUG = r"[a-z][a-z0-9_]{0,62}"


def _slug(name: str) -> str:
    if not re.fullmatch(SLUG, name):
        raise ValueError(f"{name!r} is not a name: it starts with a-z and goes on with a-z, 0-9 and _ (at most 63 characters)")
    return name


_PERCENTAGE = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?%$"}

Slug = Annotated[str, AfterValidator(_slug), _text("name", SLUG)]
Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration), _text("duration", "([0-9]+[wdhms])+", examples=["15m", "24h", "7d"])
]
Share = Annotated[
    float,
    BeforeValidator(_share),
    PlainSerializer(lambda share: f"{share * 100:g}%", when_used="json"),
    WithJsonSchema({"title": "share", "anyOf": [_PERCENTAGE, {"type": "number", "minimum": 0, "maximum": 1}]}),
]
ShareOrPoints = Annotated[
    float,
    BeforeValidator(lambda value: _share(value) if isinstance(value, str) else value),
    Field(ge=0, le=1e9),
    WithJsonSchema({"title": "share or points", "anyOf": [_PERCENTAGE, {"type": "number", "minimum": 0}]}),
]
Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    WithJsonSchema({"title": "instant", "type": "string", "format": "date-time", "examples": ["2026-07-01T00:00:00Z"]}),
]
TimeZone = Annotated[str, AfterValidator(_zone), _text("time zone", ".+", examples=["UTC", "Europe/Berlin"])]
Currency = Annotated[str, AfterValidator(_currency), _text("currency", "[A-Z]{3}")]
Country = Annotated[str, AfterValidator(_region), _text("country", "[A-Z]{2}")]
Cron = Annotated[str, AfterValidator(_cron), _text("cron line", r"\S+( \S+){4}", examples=["0 5 * * *"])]
Rate = Annotated[float, Field(gt=0, lt=1e12, allow_inf_nan=False)]
Points = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
WholeRange = Annotated[
    IntRange,
    BeforeValidator(_int_range),
    PlainSerializer(lambda r: f"{r.low}..{r.high}", when_used="json"),
    WithJsonSchema({"title": "range", "anyOf": [{"type": "string", "pattern": r"^[0-9]+\.\.[0-9]+$"}, {"type": "integer", "minimum": 0}]}),
]
