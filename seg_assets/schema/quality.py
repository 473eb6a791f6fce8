"""What a table promises, measured: unique keys, required values, ranges. One pass over the rows; what to do about a breach is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from seg_assets.schema.types import Table


@dataclass(frozen=True)
class Quality:
    """Breaches of a table's promises.

    Args:
        rows: rows of the table.
        repeated_keys: rows whose primary key another row has too.
        missing: required column to rows without a value.
        out_of_range: column to rows outside its bounds.
    """

    rows: int
    repeated_keys: int
    missing: dict[str, int]
    out_of_range: dict[str, int]


def measure(rows: ir.Table, table: Table) -> Quality:
    """Measures stored rows against their table's definition."""
    required = [c for c in table.columns if c.required]
    bounded = [c for c in table.columns if c.minimum is not None or c.maximum is not None]
    key = rows[table.primary_key[0]].cast("string") if len(table.primary_key) == 1 else _joined(rows, table)
    figures = rows.aggregate(
        rows=rows.count(),
        keys=key.hash().nunique(),
        **{f"missing_{c.name}": rows[c.name].isnull().sum() for c in required},
        **{f"range_{c.name}": _outside(rows[c.name], c.minimum, c.maximum).sum() for c in bounded},
    )
    found = {name: int(value or 0) for name, value in figures.to_pyarrow().to_pylist()[0].items()}
    return Quality(
        found["rows"],
        found["rows"] - found["keys"],
        {c.name: found[f"missing_{c.name}"] for c in required},
        {c.name: found[f"range_{c.name}"] for c in bounded},
    )


def _joined(rows: ir.Table, table: Table) -> ir.StringValue:
    text = ibis.literal("")
    for name in table.primary_key:
        text = text + ibis.literal("\x1f") + rows[name].cast("string").fill_null("\x1e")
    return text


def _outside(value: ir.NumericValue, minimum: float | None, maximum: float | None) -> ir.BooleanValue:
    below = value < minimum if minimum is not None else ibis.literal(False)
    above = value > maximum if maximum is not None else ibis.literal(False)
    return (below | above).fill_null(False)
