"""Text columns made from numbers at full speed: fixed-width ids and times, words by code, columns with holes. Knows nothing of the shop."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_QUADS = np.frombuffer(b"".join(b"%04d" % i for i in range(10_000)), dtype=np.uint32)
_DAY = 86_400_000_000


def ids(prefix: str, numbers: np.ndarray, valid: np.ndarray | None = None) -> pa.StringArray:
    """Ids of 16 characters: four of `prefix` and the number in 12 digits; null where not `valid`."""
    shown = (numbers if valid is None else numbers[valid]).astype(np.int64)
    quads = np.empty((len(shown), 4), dtype=np.uint32)
    quads[:, 0] = np.frombuffer(prefix.encode(), dtype=np.uint32)[0]
    quads[:, 1] = _QUADS[shown // 100_000_000]
    quads[:, 2] = _QUADS[shown // 10_000 % 10_000]
    quads[:, 3] = _QUADS[shown % 10_000]
    return _fixed_width(quads, 16, len(numbers), valid)


def iso_times(instants: np.ndarray, *, zone: str = "Z", joint: str = "T") -> pa.StringArray:
    """Times such as 2025-07-01T12:03:22.123Z; with `zone` "" the milliseconds are left out too."""
    fraction = bool(zone)
    out = np.empty(len(instants), dtype=[("date", "S11"), ("time", "S8"), *([("rest", f"S{4 + len(zone)}")] if fraction else [])])
    day, within = np.divmod(instants, _DAY)
    first = int(day.min()) if len(day) else 0
    span = np.arange(first, int(day.max()) + 1 if len(day) else 1).astype("datetime64[D]").astype("S10")
    out["date"] = np.char.add(span, joint.encode())[day - first]
    out["time"] = _clock_faces()[within // 1_000_000]
    if fraction:
        out["rest"] = _fractions(zone)[within // 1_000 % 1_000]
    return _fixed_width(out, out.dtype.itemsize, len(instants), None)


def amounts(cents: np.ndarray) -> pa.StringArray:
    """Amounts such as 12.50."""
    whole, rest = np.divmod(np.abs(cents), 100)
    tails = pa.array([f"{i:02d}" for i in range(100)])
    signs = pa.array(["", "-"]).take(pa.array((cents < 0).astype(np.int8)))
    figures = pc.binary_join_element_wise(pa.array(whole).cast(pa.string()), tails.take(pa.array(rest)), ".")
    return pc.binary_join_element_wise(signs, figures, "") if (cents < 0).any() else figures


def words(choices: tuple[str | None, ...], codes: np.ndarray) -> pa.StringArray:
    """The word of each code."""
    return pa.array(choices, pa.string()).take(pa.array(codes))


def spread(values: pa.Array, valid: np.ndarray) -> pa.Array:
    """`values` placed where `valid`, null elsewhere."""
    return values.take(pa.array(np.cumsum(valid) - 1, mask=~valid))


def gather(values: pa.Array, rows: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """`values[rows]`, null where not `valid`."""
    return values.take(pa.array(rows, mask=None if valid is None else ~valid))


def instants(values: np.ndarray, zone: str | None = "UTC", valid: np.ndarray | None = None) -> pa.TimestampArray:
    """Typed instants from microseconds since 1970."""
    return pa.array(values.astype(np.int64), mask=None if valid is None else ~valid).cast(pa.timestamp("us", zone))


def put(column: pa.Array, where: np.ndarray, values: pa.Array) -> pa.Array:
    """`column` with `values` (one per true) in place of what stands `where`."""
    return pc.replace_with_mask(column, pa.array(where), values) if where.any() else column


def _fixed_width(data: np.ndarray, width: int, length: int, valid: np.ndarray | None) -> pa.StringArray:
    if valid is None:
        offsets = np.arange(length + 1, dtype=np.int32) * np.int32(width)
        return pa.StringArray.from_buffers(length, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data)))
    offsets = np.zeros(length + 1, dtype=np.int32)
    np.cumsum(valid, out=offsets[1:])
    bitmap = np.packbits(valid, bitorder="little")
    nulls = length - int(offsets[-1])
    return pa.StringArray.from_buffers(
        length, pa.py_buffer(offsets * np.int32(width)), pa.py_buffer(np.ascontiguousarray(data)), pa.py_buffer(bitmap), nulls
    )


@cache
def _clock_faces() -> np.ndarray:
    return np.array([f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)], dtype="S8")


@cache
def _fractions(zone: str) -> np.ndarray:
    return np.array([f".{i:03d}{zone}" for i in range(1000)], dtype=f"S{4 + len(zone)}")
