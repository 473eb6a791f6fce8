"""Delivered values become canonical ones: typed, normalised, in UTC and project currency; what can't become one is a problem with a reason.

A problem with a required column costs the row, any other only the value. Nothing here removes rows; see `unify.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from seg_assets.lake.functions import e164, localized
from seg_assets.schema.tables import IDENTIFIERS
from seg_assets.schema.taxonomy import IBIS_TYPES, Taxonomy
from seg_assets.schema.types import UTC, Column, Table
from seg_assets.unify.mapping import StreamMapping

EMAIL = r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$"
INTERNATIONAL = r"^\+[1-9][0-9]{6,14}$"
HAS_ZONE = r"(Z|z|[+-][0-9]{2}:?[0-9]{2})$"
CLOCK_SKEW_SECONDS = 86_400
"""An event can't have happened more than this after it was received."""


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
    """Something wrong with a row: which column (None: the row), why, whether it costs the row, and the boolean column that says where."""

    column: str | None
    reason: str
    costs_row: bool
    flag: str


def typed(candidates: ir.Table, mapping: StreamMapping, table: Table, taxonomy: Taxonomy, conventions: Conventions) -> tuple[ir.Table, list[Problem]]:
    """Canonical columns of a mapped stream, with one boolean column per possible problem.

    Args:
        candidates: what `mapped` returned.
        mapping: the stream's mapping.
        table: the canonical table.
        taxonomy: spellings of events and enums.
        conventions: currency, exchange rates, phone region.

    Returns:
        The rows with canonical, technical and flag columns, and what the flags mean.
    """
    context = _Typing(candidates, mapping, taxonomy, conventions)
    for column in table.columns:
        if column.name not in {"source", "day"}:
            context.add(column)
    if mapping.extras:
        context.values["properties" if mapping.to == "events" else "attributes"] = context.document(mapping.extras.values())
    rows = candidates.select(
        **context.values,
        source=ibis.literal(mapping.source),
        **{c: candidates[c] for c in candidates.columns if c.startswith("_")},
        **context.flags,
    )
    problems = context.problems
    if "day" in table.schema:
        rows = rows.mutate(day=rows.event_time.date())
    nobody = ibis.and_(*(rows[c.name].isnull() for c in IDENTIFIERS))
    extra = [Problem(None, "no identifier: nobody it could belong to", True, "_nobody")]
    rows = rows.mutate(_nobody=nobody)
    if mapping.to == "enrichments":
        rows = rows.mutate(_value=_breaks_its_type(rows, taxonomy))
        extra.append(Problem("value", "value is not of the attribute's type, or none of its enum's values", True, "_value"))
    if mapping.to == "events":
        late = (rows.event_time.epoch_seconds() - rows.received_at.epoch_seconds()) > CLOCK_SKEW_SECONDS
        rows = rows.mutate(_clock=late.fill_null(False))
        extra.append(Problem("event_time", "happened more than a day after it was received: the sender's clock is wrong", True, "_clock"))
    return rows, [*problems, *extra]


def typed_key(candidates: ir.Table, mapping: StreamMapping, table: Table, taxonomy: Taxonomy, conventions: Conventions) -> dict[str, ir.Value]:
    """The primary key's columns as `typed` would have them; `source` is the stream's."""
    context = _Typing(candidates, mapping, taxonomy, conventions)
    for column in table.columns:
        if column.name in table.primary_key and column.name != "source":
            context.add(column)
    return context.values | {"source": ibis.literal(mapping.source)}


class _Typing:
    """Collects typed values and problem flags of one stream."""

    def __init__(self, rows: ir.Table, mapping: StreamMapping, taxonomy: Taxonomy, conventions: Conventions) -> None:
        self.rows, self.mapping, self.taxonomy, self.conventions = rows, mapping, taxonomy, conventions
        self.values: dict[str, ir.Value] = {}
        self.flags: dict[str, ir.BooleanValue] = {}
        self.problems: list[Problem] = []

    def add(self, column: Column) -> None:
        self.values[column.name] = self._value(column)

    def document(self, columns: Iterable[Column]) -> ir.Value:
        """The project's own columns of a row as one JSON object text, null where all are null."""
        values = {column.name: self._value(column) for column in columns}
        text = ibis.struct(values).cast("json").cast("string")
        return ibis.and_(*(v.isnull() for v in values.values())).ifelse(ibis.null("string"), text)

    def _value(self, column: Column) -> ir.Value:
        given = self._given(column.name)
        if given is None:
            if column.required:
                self._problem(column, f"{column.name} is missing", ibis.literal(True))
            return ibis.null(column.dtype)
        value, failure = self._convert(column, given)
        if failure:
            self._problem(column, failure, given.notnull() & value.isnull())
        if column.required:
            self._problem(column, f"{column.name} is missing", given.isnull())
        for bound, word, breaks in ((column.minimum, "below", lambda v, b: v < b), (column.maximum, "above", lambda v, b: v > b)):
            if bound is not None:
                outside = breaks(value, bound).fill_null(False)
                self._problem(column, f"{column.name} is {word} {bound:g}", outside)
                value = outside.ifelse(ibis.null(column.dtype), value)
        return value

    def _given(self, name: str) -> ir.Value | None:
        """What was delivered in a column, without white space around it; None where nothing ever is."""
        if name not in self.rows.columns or isinstance(self.rows[name].type(), dt.Null):
            return None
        return _clean(self.rows[name])

    def _problem(self, column: Column, reason: str, where: ir.BooleanValue) -> None:
        flag = f"_problem_{len(self.problems)}"
        self.problems.append(Problem(column.name, reason, column.required, flag))
        self.flags[flag] = where

    def _convert(self, column: Column, given: ir.Value) -> tuple[ir.Value, str | None]:
        """The typed value, and the reason to give where it is null although something was given (None: it never is)."""
        special: dict[str, Callable[[ir.Value], tuple[ir.Value, str]]] = {
            "event_type": lambda v: (_spelled(v, self.taxonomy.event_spellings()), "event_type is not in the taxonomy"),
            "attribute": lambda v: (_spelled(v, {a: a for a in self.taxonomy.attributes}), "attribute is not in the taxonomy"),
            "purpose": lambda v: (_spelled(v, {p: p for p in self.taxonomy.purposes}), "purpose is not in the taxonomy"),
            "email": lambda v: (_matching(v.cast("string").lower(), EMAIL), "email is not an address"),
            "phone": lambda v: (self._phone(v.cast("string")), "phone is not a valid number"),
            "country": lambda v: (_matching(v.cast("string").upper(), "^[A-Z]{2}$"), "country is not an ISO 3166-1 alpha-2 code"),
            "currency": lambda v: (_matching(v.cast("string").upper(), "^[A-Z]{3}$"), "currency is not an ISO 4217 code"),
            "revenue": lambda v: (self._amount(v), "revenue is not an amount in a known currency"),
        }
        if column.name in special and column.name not in self.mapping.extras:
            return special[column.name](given)
        if column.enum:
            return _spelled(given, self.taxonomy.enum_spellings(column.enum)), f"{column.name} is none of the values of {column.enum}"
        if column.dtype.is_timestamp():
            return self._instant(given), None if given.type().is_timestamp() else f"{column.name} is not an ISO 8601 time"
        if column.dtype.is_string():
            return given if given.type().is_string() else given.cast("string"), None
        return _number_or_date(given, column.dtype), f"{column.name} is not a valid {_word(column.dtype)}"

    def _instant(self, given: ir.Value) -> ir.Value:
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
        digits = given.re_replace(r"[\s().\-/]", "").re_replace("^00", "+")
        country, region = self._given("country"), ibis.literal(self.conventions.region, "string")
        national = e164(given, region if country is None else ibis.coalesce(country.cast("string").upper(), region))
        return digits.re_search(INTERNATIONAL).ifelse(digits, national)


def _breaks_its_type(enrichments: ir.Table, taxonomy: Taxonomy) -> ir.BooleanValue:
    """Whether the text in `value` can't be what the taxonomy says of its attribute."""
    broken = []
    for name, known in taxonomy.attributes.items():
        value = _clean(enrichments.value)
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
