"""Text columns made from numbers at full speed: fixed-width ids and times, words by code, columns with holes. Knows nothing of the shop."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_QUADS = np.frombuffer(b"".join(b"%04d" % i for i in range(10_000)), dtype=np.uint32)
_MINUTE, _DAY = 60_000_000, 86_400_000_000


def stamps(prefix: str, numbers: np.ndarray) -> np.ndarray:
    """Ids of 16 bytes (dtype S16): four of `prefix` and the number in 12 digits."""
    number = numbers.astype(np.int64, copy=False)
    high = number // 100_000_000
    low = number - high * 100_000_000
    middle = low // 10_000
    quads = np.empty((len(number), 4), dtype=np.uint32)
    quads[:, 0] = np.frombuffer(prefix.encode(), dtype=np.uint32)[0]
    quads[:, 1] = _QUADS[high]
    quads[:, 2] = _QUADS[middle]
    quads[:, 3] = _QUADS[low - middle * 10_000]
    return quads.view("S16").ravel()


def ids(prefix: str, numbers: np.ndarray, valid: np.ndarray | None = None) -> pa.StringArray:
    """Ids of 16 characters as in `stamps`; null where not `valid`."""
    return fixed(stamps(prefix, numbers if valid is None else numbers[valid]), valid)


def fixed(values: np.ndarray, valid: np.ndarray | None = None) -> pa.StringArray:
    """Texts of equal width (dtype S, full width used), spread over the rows that are `valid`; all of them when None."""
    place = np.arange(len(values) + 1, dtype=np.int32) if valid is None else _places(valid)
    return _column(place * np.int32(values.dtype.itemsize), pa.py_buffer(np.ascontiguousarray(values)), valid)


def spread(values: pa.StringArray, valid: np.ndarray) -> pa.StringArray:
    """`values` (none null) placed where `valid`, null elsewhere; shares the text."""
    ends = np.frombuffer(values.buffers()[1], dtype=np.int32)[values.offset : values.offset + len(values) + 1]
    return _column(ends[_places(valid)], values.buffers()[2] or pa.py_buffer(b""), valid)


def _places(valid: np.ndarray) -> np.ndarray:
    """How many valid rows lie before each row, and in all."""
    place = np.zeros(len(valid) + 1, dtype=np.int32)
    np.cumsum(valid, out=place[1:])
    return place


def _column(offsets: np.ndarray, data: pa.Buffer, valid: np.ndarray | None) -> pa.StringArray:
    if valid is None:
        return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), data)
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.StringArray.from_buffers(len(valid), pa.py_buffer(offsets), data, bitmap, int(len(valid) - np.count_nonzero(valid)))


def iso_times(instants: np.ndarray) -> np.ndarray:
    """Times such as 2025-07-01T12:03:22.123Z (dtype S24), within 1970..2119."""
    day = instants // _DAY
    within = instants - day * _DAY
    minute = within // _MINUTE
    month, day_of_month = _days()
    out = np.empty((len(instants), 3), dtype=np.uint64)
    out[:, 0] = month[day]
    out[:, 1] = _minutes()[day_of_month[day] * 1440 + minute]
    out[:, 2] = _milliseconds()[(within - minute * _MINUTE) // 1_000]
    return out.view("S24").ravel()


def wall_times(instants: np.ndarray) -> np.ndarray:
    """Times such as 2025-07-01 12:03:22, without a zone (dtype S19)."""
    out = iso_times(instants).astype("S19")
    out.view(np.uint8).reshape(-1, 19)[:, 10] = ord(" ")
    return out


def amounts(cents: np.ndarray) -> pa.StringArray:
    """Amounts such as 12.50."""
    size = np.abs(cents)
    whole = size // 100
    figures = join(pa.array(whole).cast(pa.string()), words(_TAILS, size - whole * 100), by=".")
    return join(words(("", "-"), (cents < 0).astype(np.int8)), figures) if (cents < 0).any() else figures


def join(*parts: pa.Array | str, by: str = "") -> pa.StringArray:
    """The parts of each row in one text; null where one of them is."""
    return pc.call_function("binary_join_element_wise", [*(pa.scalar(p) if isinstance(p, str) else p for p in parts), pa.scalar(by)])


def words(choices: tuple[str, ...], codes: np.ndarray, valid: np.ndarray | None = None) -> pa.StringArray:
    """The word of each code; null where not `valid`."""
    return gather(pa.array(choices, pa.string()), codes, valid)


def gather(values: pa.StringArray, rows: np.ndarray, valid: np.ndarray | None = None) -> pa.StringArray:
    """`values[rows]`, null where not `valid`; `values` has no nulls."""
    return values.take(pa.array(rows)) if valid is None else spread(values.take(pa.array(rows[valid])), valid)


def instants(values: np.ndarray, valid: np.ndarray | None = None) -> pa.TimestampArray:
    """Typed instants from microseconds since 1970."""
    return pa.array(values.astype(np.int64), mask=None if valid is None else ~valid).cast(pa.timestamp("us", "UTC"))


def put(column: pa.StringArray, where: np.ndarray, values: pa.StringArray) -> pa.StringArray:
    """`column` with `values` (one per true) in place of what stands `where`."""
    return pc.call_function("replace_with_mask", [column, pa.array(where), values]) if where.any() else column


_TAILS = tuple(f"{i:02d}" for i in range(100))


@cache
def _days() -> tuple[np.ndarray, np.ndarray]:
    """Eight characters such as "2025-07-" (as one number) by day since 1970, and the day of the month less one."""
    days = np.arange("1970", "2120", dtype="datetime64[D]")
    months = days.astype("datetime64[M]")
    return np.char.add(months.astype("S7"), b"-").astype("S8").view(np.uint64), (days - months).astype(np.int64)


@cache
def _minutes() -> np.ndarray:
    """Eight characters such as "01T12:03" (as one number) by minute of the month."""
    return np.array([f"{m // 1440 + 1:02d}T{m // 60 % 24:02d}:{m % 60:02d}" for m in range(31 * 1440)], dtype="S8").view(np.uint64)


@cache
def _milliseconds() -> np.ndarray:
    """Eight characters such as ":22.123Z" (as one number) by millisecond of the minute."""
    return np.array([f":{ms // 1000:02d}.{ms % 1000:03d}Z" for ms in range(60_000)], dtype="S8").view(np.uint64)
