"""How a column is described: type, unit, personal-data class, allowed values. No tables here; they are in `tables/`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import ibis
import ibis.expr.datatypes as dt

UTC = 'timestamp("UTC", 6)'
"""Ibis type of every instant: microseconds, UTC."""
MONEY = "decimal(18, 2)"
"""Ibis type of every amount: exact, so that sums do not depend on row order."""


class Pii(StrEnum):
    """Personal-data class of a column."""

    NONE = "none"
    PSEUDONYM = "pseudonym"
    """An id that means a person only to its issuer (user_id, cookie, person_id)."""
    QUASI = "quasi"
    """Not identifying alone, perhaps together (city, birth date)."""
    DIRECT = "direct"
    """Identifies or reaches a person (e-mail, phone, name). In clear only upstream of identity and in the vault."""


@dataclass(frozen=True)
class Column:
    """One column of a canonical table.

    Args:
        name: snake case.
        type: Ibis type string; instants are `UTC`, amounts `MONEY`.
        description: for people; shown in the Dagster UI and docs.
        unit: "days", "points", "project currency", "share 0..1", ... or None.
        pii: personal-data class.
        required: null is a contract violation.
        minimum, maximum: inclusive bounds; outside is a contract violation.
        enum: name of the taxonomy enum whose values are allowed.
    """

    name: str
    type: str
    description: str
    unit: str | None = None
    pii: Pii = Pii.NONE
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    enum: str | None = None

    @cached_property
    def dtype(self) -> dt.DataType:
        return dt.dtype(self.type)


@dataclass(frozen=True)
class Table:
    """A canonical table. `key` is its path in the lake and its Dagster asset key.

    Args:
        key: e.g. ("unified", "events").
        description: one or two sentences for people.
        columns: in order.
        primary_key: columns that are unique together; also the order rows are stored in.
        partition_by: a column whose values split the table on disk, or None.
    """

    key: tuple[str, ...]
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    partition_by: str | None = None

    @property
    def name(self) -> str:
        return "/".join(self.key)

    @cached_property
    def schema(self) -> ibis.Schema:
        return ibis.schema({c.name: c.dtype for c in self.columns})

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    def extended(self, *columns: Column) -> Table:
        """The same table with more columns at its end (attributes and events a project declares)."""
        return Table(self.key, self.description, self.columns + columns, self.primary_key, self.partition_by)
