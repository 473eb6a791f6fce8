"""Scalar functions Ibis has no word for. Each names its DuckDB function; another engine maps them here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from seg_assets.phones import PhoneParser


@ibis.udf.scalar.builtin(name="timezone", signature=((dt.string, dt.timestamp), dt.Timestamp("UTC")))
def _timezone(zone, instant):  # type: ignore[no-untyped-def]
    """DuckDB: the instant a wall-clock time stands for in a zone."""


def localized(wall_clock: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    """The instants at which clocks in `zone` (an IANA name) showed the naive times `wall_clock`."""
    return _timezone(ibis.literal(zone), wall_clock)


@ibis.udf.scalar.builtin(name="epoch_us", signature=((dt.Timestamp("UTC"),), dt.int64))
def microseconds(instant):  # type: ignore[no-untyped-def]
    """DuckDB: microseconds since 1970-01-01 UTC, exactly. Reads what is stored; a difference of instants would go through the calendar, 50 times slower."""


def utc_day(instant: ir.TimestampValue) -> ir.DateValue:
    """The UTC day of instants. A plain cast would go through the calendar of the session's zone, 18 times slower."""
    return _naive(microseconds(instant)).date()


@ibis.udf.scalar.builtin(name="make_timestamp", signature=((dt.int64,), dt.Timestamp()))
def _naive(microseconds):  # type: ignore[no-untyped-def]
    """DuckDB: wall-clock time in UTC of microseconds since 1970-01-01."""


@ibis.udf.agg.builtin(name="max")
def largest(value: int, number: int, where: bool = True) -> list[int]:  # type: ignore[empty-body]
    """DuckDB: the `number` largest values as an array, largest first."""


_parse_phones = PhoneParser()


@ibis.udf.scalar.pyarrow(signature=((dt.string, dt.string), dt.string))
def _e164(number, region):  # type: ignore[no-untyped-def]
    """Vectorised phone parsing; "" where a number is not valid, because the engine's functions may not make nulls."""
    import pyarrow as pa

    return pa.array(_parse_phones(list(zip(number.to_pylist(), region.to_pylist(), strict=True))), pa.string())


def e164(number: ir.StringValue, region: ir.StringValue) -> ir.StringValue:
    """Phone numbers in E.164, null where they are not valid. `region`: country (ISO 3166-1) that national numbers are read in, null if unknown."""
    return _e164(number, region.fill_null("")).nullif("")


def keyed_hash(key: bytes) -> Callable[[ir.StringValue], ir.StringValue]:
    """A function of columns: texts to 32 hexadecimal digits that can't be traced back, or recomputed, without `key` (BLAKE2b, RFC 7693).

    The key stays in this process: it is part of no query text, log or error.
    """
    import hashlib

    name = f"keyed_hash_{hashlib.blake2b(key, digest_size=8).hexdigest()}"

    def compute(text):  # type: ignore[no-untyped-def]
        import pyarrow as pa

        new = hashlib.blake2b
        return pa.array([new(t.encode(), key=key[:64], digest_size=16).hexdigest() for t in text.to_pylist()], pa.string())

    compute.__name__ = name
    return ibis.udf.scalar.pyarrow(compute, name=name, signature=((dt.string,), dt.string))
