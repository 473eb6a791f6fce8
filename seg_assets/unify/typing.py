"""Delivered values become canonical ones: typed, normalised, in UTC and project currency; what can't become one is a problem with a reason.

A problem with a required column costs the row, any other only the value. Nothing here removes rows; see `unify.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC as UTC_ZONE
from datetime import datetime

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from seg_assets.lake.functions import e164, localized, microseconds, utc_day
from seg_assets.schema.tables import IDENTIFIERS
from seg_assets.schema.taxonomy import IBIS_TYPES, Taxonomy
from seg_assets.schema.types import UTC, Column, Table
from seg_assets.unify.mapping import StreamMapping

EMAIL = r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$"
INTERNATIONAL = r"^\+[1-9][0-9]{6,14}$"
HAS_ZONE = r"(Z|z|[+-][0-9]{2}:?[0-9]{2})$"
CLOCK_SKEW_MICROSECONDS = 86_400_000_000
"""An event can't have happened more than this after it was received."""


CALENDAR = (datetime(1, 1, 2, tzinfo=UTC_ZONE), datetime(9999, 12, 30, tzinfo=UTC_ZONE))
"""First and last instant ISO 8601 can write with four digits, a day apart from its ends for every zone; "infinity" is outside."""


@dataclass(frozen=True)
class Conventions:
    """How a project writes money, phones and times.

    Args:
        currency: ISO 4217 code amounts are kept in.
        fx: what one unit of another currency is worth in `currency`.
        region: ISO 3166-1 country national phone numbers are read in when the record names none.
    """

    currency: str = "USD"
    fx: Mapping[str, float] = field(default_factory=dict)
    region: str | None = None


@dataclass(frozen=True)
class Problem:
    """Something that can be wrong with a row: in which column (None: the row), why, and whether it costs the row."""

    column: str | None
    reason: str
    costs_row: bool


PROBLEMS, LOST = "_problems", "_lost"
"""Columns of `typed` beside the canonical ones: numbers of the row's problems (null: none), and whether one of them costs the row."""


def typed(
    candidates: ir.Table, mapping: StreamMapping, table: Table, taxonomy: Taxonomy, conventions: Conventions, first: int = 0
) -> tuple[ir.Table, list[Problem]]:
    """Canonical columns of a mapped stream, and what is wrong with each row.

    Args:
        candidates: what `mapped` returned.
        mapping: the stream's mapping.
        table: the canonical table.
        taxonomy: spellings of events and enums.
        conventions: currency, exchange rates, phone region.
        first: number of the stream's first problem.

    Returns:
        The rows with canonical columns, technical ones, `PROBLEMS` and `LOST`; and the stream's problems, numbered from `first`.
    """
    # Three selections, one upon the other: what was delivered without white space, its types, its problems. Each expression is computed once.
    delivered = [n for n in candidates.columns if not n.startswith("_") and not isinstance(candidates[n].type(), dt.Null)]
    technical = [n for n in candidates.columns if n.startswith("_")]
    given = candidates.select(*technical, **{_given(n): _clean(candidates[n]) for n in delivered})
    typing = _Typing(given, mapping, taxonomy, conventions)
    for column in (*(c for c in table.columns if c.name not in {"source", "day"}), *mapping.extras.values()):
        typing.add(column)
    rows = given.mutate(**typing.values)
    doubts = [*typing.doubts, *_doubts_about_rows(mapping, taxonomy)]
    values = {c.name: _within_bounds(rows[c.name], c) for c in table.columns if c.name in typing.values}
    if mapping.extras:
        own = {name: _within_bounds(rows[name], column) for name, column in mapping.extras.items()}
        values["properties" if mapping.to == "events" else "attributes"] = _document(own)
    if "day" in table.schema:
        values["day"] = utc_day(rows.event_time)
    flags = [where(rows) for _, where in doubts]
    numbers = ibis.array([ibis.ifelse(flag, first + i, ibis.null("int64")) for i, flag in enumerate(flags)])
    marks = {
        LOST: ibis.or_(*(flag for flag, (problem, _) in zip(flags, doubts, strict=True) if problem.costs_row)),
        PROBLEMS: ibis.or_(*flags).ifelse(numbers.filter(lambda n: n.notnull()), ibis.null("array<int64>")),
    }
    finished = rows.select(*technical, source=ibis.literal(mapping.source), **values, **marks)
    return finished.cast({n: t for n, t in table.schema.items() if finished[n].type() != t}), [problem for problem, _ in doubts]


Doubt = tuple[Problem, Callable[[ir.Table], ir.BooleanValue]]
"""A problem and where it is true, given the typed rows."""


def _doubts_about_rows(mapping: StreamMapping, taxonomy: Taxonomy) -> list[Doubt]:
    """What no single column shows."""
    doubts: list[Doubt] = [
        (Problem(None, "no identifier: nobody it could belong to", True), lambda rows: ibis.and_(*(rows[c.name].isnull() for c in IDENTIFIERS)))
    ]
    if mapping.to == "enrichments":
        reason = "value is not of the attribute's type, or none of its enum's values"
        doubts.append((Problem("value", reason, True), lambda rows: _breaks_its_type(rows, taxonomy)))
    if mapping.to == "events":
        reason = "happened more than a day after it was received: the sender's clock is wrong"
        doubts.append((Problem("event_time", reason, True), _ahead_of_receipt))
    return doubts


def _ahead_of_receipt(events: ir.Table) -> ir.BooleanValue:
    ahead = microseconds(events.event_time) - microseconds(events.received_at)
    return (ahead > CLOCK_SKEW_MICROSECONDS).fill_null(False)


def _given(name: str) -> str:
    return f"_given_{name}"


def _within_bounds(value: ir.Value, column: Column) -> ir.Value:
    """The value, null where it is out of bounds: that is a problem of its own."""
    outside = [value < column.minimum] if column.minimum is not None else []
    outside += [value > column.maximum] if column.maximum is not None else []
    return ibis.or_(*outside).ifelse(ibis.null(value.type()), value) if outside else value


def _document(values: Mapping[str, ir.Value]) -> ir.Value:
    """The project's own columns of a row as one JSON object text, null where all are null."""
    text = ibis.struct(values).cast("json").cast("string")
    return ibis.and_(*(v.isnull() for v in values.values())).ifelse(ibis.null("string"), text)


class _Typing:
    """Collects typed values, and doubts about them, of one stream."""

    def __init__(self, given: ir.Table, mapping: StreamMapping, taxonomy: Taxonomy, conventions: Conventions) -> None:
        self.given, self.mapping, self.taxonomy, self.conventions = given, mapping, taxonomy, conventions
        self.values: dict[str, ir.Value] = {}
        self.doubts: list[Doubt] = []

    def add(self, column: Column) -> None:
        name, given = column.name, self._given(column.name)
        if given is None:
            self.values[name] = ibis.null(column.dtype)
            if column.required:
                self._doubt(column, "is missing", lambda _: ibis.literal(True))
            return
        self.values[name], failure = self._convert(column, given)
        if failure:
            self._doubt(column, failure, lambda rows: rows[_given(name)].notnull() & rows[name].isnull())
        if column.required:
            self._doubt(column, "is missing", lambda rows: rows[_given(name)].isnull())
        if column.minimum is not None:
            self._doubt(column, f"is below {column.minimum:g}", lambda rows: (rows[name] < column.minimum).fill_null(False))
        if column.maximum is not None:
            self._doubt(column, f"is above {column.maximum:g}", lambda rows: (rows[name] > column.maximum).fill_null(False))

    def _given(self, name: str) -> ir.Value | None:
        """What was delivered in a column, without white space around it; None where nothing ever is."""
        return self.given[_given(name)] if _given(name) in self.given.columns else None

    def _doubt(self, column: Column, what: str, where: Callable[[ir.Table], ir.BooleanValue]) -> None:
        self.doubts.append((Problem(column.name, f"{column.name} {what}", column.required), where))

    def _convert(self, column: Column, given: ir.Value) -> tuple[ir.Value, str | None]:
        """The typed value, and the reason to give where it is null although something was given (None: it never is)."""
        special: dict[str, Callable[[ir.Value], tuple[ir.Value, str]]] = {
            "event_type": lambda v: (_spelled(v, self.taxonomy.event_spellings()), "is not in the taxonomy"),
            "attribute": lambda v: (_spelled(v, {a: a for a in self.taxonomy.attributes}), "is not in the taxonomy"),
            "purpose": lambda v: (_spelled(v, {p: p for p in self.taxonomy.purposes}), "is not in the taxonomy"),
            "email": lambda v: (_matching(v.cast("string").lower(), EMAIL), "is not an address"),
            "phone": lambda v: (self._phone(v.cast("string")), "is not a valid number"),
            "country": lambda v: (_matching(v.cast("string").upper(), "^[A-Z]{2}$"), "is not an ISO 3166-1 alpha-2 code"),
            "currency": lambda v: (_matching(v.cast("string").upper(), "^[A-Z]{3}$"), "is not an ISO 4217 code"),
            "revenue": lambda v: (self._amount(v), "is not an amount in a known currency"),
        }
        if column.name in special and column.name not in self.mapping.extras:
            return special[column.name](given)
        if column.enum:
            return _spelled(given, self.taxonomy.enum_spellings(column.enum)), f"is none of the values of {column.enum}"
        if column.dtype.is_timestamp():
            return self._instant(given), "is not an ISO 8601 time"
        if column.dtype.is_string():
            return given if given.type().is_string() else given.cast("string"), None
        return _number_or_date(given, column.dtype), f"is not a valid {_word(column.dtype)}"

    def _instant(self, given: ir.Value) -> ir.Value:
        instant = self._any_instant(given)
        return instant.between(*CALENDAR).ifelse(instant, ibis.null(UTC))

    def _any_instant(self, given: ir.Value) -> ir.Value:
        zone = self.mapping.timezone
        if isinstance(given.type(), dt.Timestamp) and given.type().timezone:
            return given.cast(UTC)
        if given.type().is_string():
            as_utc = given.try_cast(UTC)
            return as_utc if zone == "UTC" else given.re_search(HAS_ZONE).ifelse(as_utc, localized(given.try_cast("timestamp"), zone).cast(UTC))
        return localized(given.try_cast("timestamp"), zone)

    def _amount(self, given: ir.Value) -> ir.Value:
        amount = given.try_cast("decimal(18, 2)")
        currency = self._given("currency")
        if currency is None:
            return amount
        code = currency.cast("string").upper()
        rates = {self.conventions.currency: 1.0, **self.conventions.fx}
        rate = (
            ibis.cases(*((code == c, ibis.literal(r)) for c, r in rates.items() if c != self.conventions.currency), else_=ibis.null("float64"))
            if (self.conventions.fx)
            else ibis.null("float64")
        )
        same = code.isnull() | (code == self.conventions.currency)
        return same.ifelse(amount, (given.try_cast("float64") * rate).round(2).try_cast("decimal(18, 2)"))

    def _phone(self, given: ir.StringValue) -> ir.StringValue:
        written = given.startswith("00").ifelse(ibis.literal("+") + given.substr(2), given)
        digits = written.re_replace(r"[\s().\-/]", "")
        country, region = self._given("country"), ibis.literal(self.conventions.region, "string")
        parsed = e164(written, region if country is None else ibis.coalesce(country.cast("string").upper(), region))
        whole = digits.re_search(INTERNATIONAL) & ~given.contains("(0)")  # "+43 (0)664": the zero is dialled inside the country only
        return whole.ifelse(digits, parsed)


def _breaks_its_type(enrichments: ir.Table, taxonomy: Taxonomy) -> ir.BooleanValue:
    """Whether the text in `value` can't be what the taxonomy says of its attribute."""
    broken = []
    for name, known in taxonomy.attributes.items():
        value = enrichments.value
        dtype = dt.dtype(IBIS_TYPES.get(known.type, known.type))
        typed_value = _spelled(value, taxonomy.enum_spellings(known.enum)) if known.enum else _number_or_date(value, dtype)
        broken.append((enrichments.attribute == name) & value.notnull() & typed_value.isnull())
    return ibis.or_(*broken).fill_null(False)


def _clean(value: ir.Value) -> ir.Value:
    """Text without white space around it, null where nothing is left. Few values have any, and to look costs a thirtieth of stripping."""
    if not value.type().is_string():
        return value
    untidy = (value < "!") | ibis.or_(*(value.endswith(space) for space in " \t\n\r\x0b\x0c"))
    return untidy.ifelse(value.strip().nullif(""), value)


def _matching(text: ir.StringValue, pattern: str) -> ir.StringValue:
    return text.re_search(pattern).ifelse(text, ibis.null("string"))


def _spelled(value: ir.Value, spellings: Mapping[str, str]) -> ir.Value:
    """Canonical spelling; exact names are recognised first because nearly every row has one."""
    text = value.cast("string")
    folded = text.lower().replace(" ", "_").replace("-", "_")
    return text.isin(sorted(set(spellings.values()))).ifelse(text, folded.cases(*sorted(spellings.items())))


def _number_or_date(given: ir.Value, dtype: dt.DataType) -> ir.Value:
    if dtype.is_integer():
        number = given.try_cast("float64")
        return (number == number.floor()).ifelse(number.try_cast(dtype), ibis.null(dtype))
    if dtype.is_floating():
        number = given.try_cast(dtype)
        return (number.isnan() | number.isinf()).ifelse(ibis.null(dtype), number)
    return given.try_cast(dtype)


def _word(dtype: dt.DataType) -> str:
    return "whole number" if dtype.is_integer() else "number" if dtype.is_numeric() else str(dtype)
