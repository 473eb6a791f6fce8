"""When delivered columns are no longer those of the raw table: what differs, and what becomes of the rows by the connection's policy.

Takes pages and gives pages; landing them is `landing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.types import Page, Reject
from seg_assets.errors import SegError
from seg_assets.lake.lake import delta_schema

ASIDE = r"^[\d,]+ rows$"
"""What the position of a reject looks like that stands for rows set aside."""


class Drift(StrEnum):
    """What to do with columns that are new or have another type."""

    EVOLVE = "evolve"
    """The table takes them: new columns are added, types widened."""
    FREEZE = "freeze"
    """Reading stops before the first such row."""
    QUARANTINE = "quarantine"
    """Such rows are set aside, with the reason; the others land."""


class SchemaDriftError(SegError):
    """A source delivers other columns than before, and its connection does not allow that."""


@dataclass(frozen=True)
class Split:
    """A page's rows that fit the table, and those that do not; either may be empty."""

    fitting: Page
    aside: pa.Table | None = None


def differences(known: pa.Schema, delivered: pa.Schema) -> list[str]:
    """What of `delivered` the table does not have, in words. A column that is missing is no difference: it is empty then."""
    new = [f"the column {f.name} is new" for f in delivered if f.name not in known.names]
    other = [
        f"the column {f.name} is {f.type}, not {known.field(f.name).type}"
        for f in delivered
        if f.name in known.names and not _fits(f.type, known.field(f.name).type)
    ]
    return [*new, *other]


def split(page: Page, known: pa.Schema, policy: Drift) -> Iterator[Split]:
    """A page, as far as it fits the known columns.

    Args:
        page: as delivered.
        known: the table's columns.
        policy: FREEZE or QUARANTINE.

    Raises:
        SchemaDriftError: the policy is FREEZE and the page does not fit.
    """
    delivered = _schema(page)
    found = differences(known, delivered) if delivered is not None else []
    if not found:
        yield Split(page)
        return
    if policy is Drift.FREEZE:
        raise SchemaDriftError(f"slice {page.slice}: {'; '.join(found)}", hint="map it and set `drift: evolve`, or have the source mended")
    for rows in tables_of(page):
        misfit = _misfits(rows, known)
        aside = rows.filter(pa.array(misfit, pa.bool_()))
        kept = rows.filter(pa.array([not one for one in misfit], pa.bool_())).select([c for c in rows.column_names if c in known.names])
        kept = kept.cast(pa.schema([f.with_type(known.field(f.name).type) for f in kept.schema]))
        rejects = [Reject(page.slice, f"{aside.num_rows:,} rows", "; ".join(found))] if aside.num_rows else []
        yield Split(Page(page.slice, kept, rejects=rejects), aside if aside.num_rows else None)
    yield Split(replace(page, rows=None, parquet=None))


def _misfits(rows: pa.Table, known: pa.Schema) -> list[bool]:
    """Which rows hold a value in a new column, or one that is not of its column's type."""
    misfit = [False] * rows.num_rows
    for name in rows.column_names:
        column = rows[name]
        if name not in known.names:
            bad = column.is_valid().to_pylist()
        elif _fits(column.type, known.field(name).type):
            continue
        else:
            bad = [value.is_valid and not _casts(value, known.field(name).type) for value in column]
        misfit = [one or other for one, other in zip(misfit, bad, strict=True)]
    return misfit


def _casts(value: pa.Scalar, wanted: pa.DataType) -> bool:
    try:
        value.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False
    return True


def _fits(delivered: pa.DataType, known: pa.DataType) -> bool:
    """Whether every value of one type is one of the other, as stored."""
    if delivered == known or pa.types.is_null(delivered):
        return True
    try:
        return pa.unify_schemas([pa.schema([("x", known)]), pa.schema([("x", delivered)])], promote_options="permissive").field("x").type == known
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return False


def _schema(page: Page) -> pa.Schema | None:
    delivered = pq.read_schema(page.parquet) if page.parquet is not None else page.rows.schema if page.rows is not None else None
    return delivered and delta_schema(delivered)


def tables_of(page: Page) -> Iterator[pa.Table]:
    """A page's rows, part by part."""
    if page.parquet is not None:
        with pq.ParquetFile(page.parquet) as file:
            for batch in file.iter_batches():
                yield pa.Table.from_batches([batch])
    elif isinstance(page.rows, pa.RecordBatch):
        yield pa.Table.from_batches([page.rows])
    elif page.rows is not None:
        yield page.rows
