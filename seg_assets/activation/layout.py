"""The ledger's tables, made where there are none and brought up to date where an earlier version made them. Which layout a store has is written in it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from seg_assets.activation.store import COMMITTED, LAYOUT, OPS, RECEIPTS, Store
from seg_assets.errors import DeliveryError

CURRENT = 2
"""1: indexes by op_id. 2: by person; a table without row numbers where SQLite needs none."""
REBUILT = {1: (OPS, COMMITTED, RECEIPTS)}
"""By layout, tables that differ in the next one; not in their columns."""
LOCK = 7_305_808_869
"""Advisory lock of those who lay out; any number that nobody else uses."""


def lay_out(store: Store) -> None:
    """Makes the tables, or brings them up to date, all or nothing. Several may try at once.

    Raises:
        DeliveryError: the tables were made by a version that is too old, or newer than this one.
    """
    with store.engine.connect() as connection:
        if _layout(connection) == CURRENT:
            return
    with store.write() as connection:
        if not store.file:  # SQLite's writers take turns anyway
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        found = _layout(connection)
        if found == CURRENT:
            return
        changed = [] if found is None else [table for layout in range(found, CURRENT) for table in REBUILT[layout]]
        _rebuild(connection, list(dict.fromkeys(changed)))
        connection.execute(sa.delete(LAYOUT))
        connection.execute(sa.insert(LAYOUT).values(number=CURRENT))


def _layout(connection: sa.Connection) -> int | None:
    """Number of the layout; None: there are no tables.

    Raises:
        DeliveryError: it is none that this version knows.
    """
    tables = set(sa.inspect(connection).get_table_names())
    if LAYOUT.name in tables:
        found = connection.execute(sa.select(LAYOUT.c.number)).scalar_one()
    elif OPS.name in tables:
        found = 1 if "targets" in tables else 0  # both wrote no number
    else:
        return None
    if found > CURRENT:
        raise DeliveryError(f"the ledger was made by a later version of seg-assets (layout {found})", hint="use that version; nothing was changed")
    if found < 1:
        raise DeliveryError(
            "the ledger was made by a version of seg-assets that is too old",
            hint="move it away; what it says of destinations is then forgotten, and members are sent again",
        )
    return found


def _rebuild(connection: sa.Connection, tables: Sequence[sa.Table]) -> None:
    """Makes what is missing, and tables anew with the rows they had."""
    for table in tables:
        for index in table.indexes:
            index.drop(connection, checkfirst=True)
        connection.exec_driver_sql(f"alter table {table.name} rename to former_{table.name}")
    OPS.metadata.create_all(connection)
    for table in tables:
        names = ", ".join(table.columns.keys())
        connection.exec_driver_sql(f"insert into {table.name} ({names}) select {names} from former_{table.name}")
        connection.exec_driver_sql(f"drop table former_{table.name}")
    if OPS in tables and connection.dialect.name == "postgresql":
        last = sa.select(sa.func.max(OPS.c.id)).scalar_subquery()
        connection.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(OPS.name, "id"), last)))
