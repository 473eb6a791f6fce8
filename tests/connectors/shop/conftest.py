"""A generated shop of 20,000 customers, read once, as DuckDB views beside its truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from connectors.shop.config import ShopConfig
from connectors.shop.source import ShopSource
from connectors.types import Context

END = datetime(2026, 7, 1, tzinfo=UTC)
CUSTOMERS = 20_000

CLEAN = """
create view clean_tracking as
    select t.* exclude (event_type, event_time, revenue), lower(replace(replace(replace(event_type, 'Add to Cart', 'product_added'), 'Begin Checkout',
        'checkout_started'), ' ', '_')) as event_type, cast(event_time as timestamptz) as event_time, cast(revenue as decimal(18, 2)) as revenue
    from tracking t where (slice, position) not in (select slice, position from defects where stream = 'tracking' and (spoils in ('row', 'copy') or code like '%_amount'));
create view clean_orders as
    select o.* exclude (event_type, event_time, revenue), if(event_type in ('order_refunded', 'Order Refunded', 'refund'), 'order_refunded',
        'order_completed') as event_type, timezone('Europe/Berlin', cast(event_time as timestamp)) as event_time,
        cast(revenue as decimal(18, 2)) as revenue
    from orders o where (slice, position) not in (select slice, position from defects where stream = 'orders' and (spoils in ('row', 'copy') or code like '%_amount'));
create view clean_email as
    select * replace (lower(replace(replace(event_type, ' ', '_'), '-', '_')) as event_type, lower(trim(email)) as email)
    from email e where (slice, position) not in (select slice, position from defects where stream = 'email' and spoils in ('row', 'copy'));
create view accounts as select person, key as user_id, kind from records where stream = 'storefront';
create view addresses as
    select person, lower(trim(any_value(email))) as email from storefront join records r on r.stream = 'storefront' and r.key = user_id
    where kind = 'first' group by person;
"""
"""What the streams say once defects and copies are taken out, and who is behind an account or address."""


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context(as_of=END, root=tmp_path_factory.mktemp("project"), scratch=tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="session")
def read() -> Callable[..., dict[str, pa.Table]]:
    """Reads a stream to its end: rows by slice."""

    def read_slices(config: ShopConfig, stream: str, context: Context, cursor: dict | None = None) -> dict[str, pa.Table]:
        slices: dict[str, list[pa.Table]] = {}
        for page in ShopSource(config).read(stream, cursor, context):
            slices.setdefault(page.slice, []).append(page.rows)
        return {name: pa.concat_tables(tables) for name, tables in slices.items()}

    return read_slices


@pytest.fixture(scope="session")
def shop(read: Callable[..., dict[str, pa.Table]], context: Context) -> Iterator[duckdb.DuckDBPyConnection]:
    """One view per stream (with slice and position), one per truth table, and the views of `CLEAN`."""
    config = ShopConfig(customers=CUSTOMERS, truth="truth")
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for stream in ("crm", "storefront", "tracking", "orders", "email", "consents", "enrichment", "mentions"):
        parts = [
            table.append_column("slice", pa.repeat(name, len(table))).append_column("position", pa.array(range(len(table)), pa.int64()))
            for name, table in read(config, stream, context).items()
        ]
        connection.register(f"{stream}_rows", pa.concat_tables(parts))
        connection.execute(f"create table {stream} as from {stream}_rows")
    truth = context.root / "truth"
    for name in ("persons", "traps", "consent_statements", "consent_state"):
        connection.execute(f"create table {name} as from '{truth / name}.parquet'")
    connection.execute(f"create table records as from '{truth}/records/*.parquet'")
    connection.execute(f"create table defects as from '{truth}/defects/*/*.parquet'")
    connection.execute(CLEAN)
    yield connection
    connection.close()


@pytest.fixture
def one(shop: duckdb.DuckDBPyConnection) -> Callable[[str], tuple]:
    """The first row a query gives."""

    def first_row(query: str) -> tuple:
        row = shop.execute(query).fetchone()
        assert row is not None
        return row

    return first_row


@pytest.fixture(scope="session")
def truth_folder(shop: duckdb.DuckDBPyConnection, context: Context) -> Path:
    return context.root / "truth"
