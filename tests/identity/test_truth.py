"""Identity against the planted truth of the generated shop: which records are really one person."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
import ibis
import pyarrow as pa
import pytest

from connectors.shop.config import ShopConfig
from connectors.shop.source import ShopSource
from connectors.types import Context
from seg_assets.identity import IdentityRules, resolve, with_person
from seg_assets.lake import Engine
from seg_assets.schema.tables import UNIFIED
from seg_assets.schema.taxonomy import default_taxonomy
from seg_assets.unify import StreamMapping, unify
from seg_assets.unify.typing import Conventions

ENGINE = Engine()
KEY = b"a key for tests"

PAIRS = """
with pairs as (select sum(n * (n - 1) / 2) as n from (select count(*) as n from records group by {columns})) select n from pairs
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Every contact record (table `records`) with the person found (person_id) and the true one (person)."""
    root = tmp_path_factory.mktemp("shop")
    config = ShopConfig(customers=1_000, start=date(2026, 4, 1), truth="truth")
    unified = _unified(ShopSource(config), Context(as_of=datetime(2026, 7, 1, tzinfo=UTC), root=root, scratch=root))
    links = ENGINE.from_arrow(ENGINE.connection.to_pyarrow(resolve(list(unified.values()), KEY, IdentityRules(), None).links))
    contacts = unified["contacts"]
    found = ENGINE.connection.to_pyarrow(with_person(contacts.mutate(account=contacts.user_id), links, KEY))
    connection = duckdb.connect()
    connection.register("found", found)
    connection.execute(
        f"""create table records as select f.person_id, t.person from found f join '{root}/truth/records/*.parquet' t
            on f.source = 'shop/' || t.stream and t.key in (f.contact_id, f.account)"""
    )
    assert connection.sql("select count(*) from records").fetchone() == (found.num_rows,)
    return connection


def _unified(source: ShopSource, context: Context) -> dict[str, ibis.Table]:
    streams: dict[str, list[tuple[ibis.Table, StreamMapping]]] = {name: [] for name in UNIFIED}
    for stream in source.streams(context):
        pages = [(page.slice, page.rows) for page in source.read(stream.name, None, context)]
        parts = [rows.append_column("_slice", pa.repeat(s, len(rows))).append_column("_row", pa.array(range(len(rows)))) for s, rows in pages]
        mapping = StreamMapping(f"shop/{stream.name}", stream.shaped_as, None, "Europe/Berlin" if stream.name == "orders" else "UTC")
        streams[stream.shaped_as].append((ENGINE.from_arrow(pa.concat_tables(parts)), mapping))
    conventions = Conventions("EUR", {"USD": 0.92, "GBP": 1.17}, "DE")
    found = {name: unify(some, UNIFIED[name], default_taxonomy(), conventions).rows for name, some in streams.items()}
    return {name: ENGINE.from_arrow(ENGINE.connection.to_pyarrow(rows)) for name, rows in found.items()}


@pytest.mark.slow
def test_records_of_one_person_are_found_and_those_of_two_are_kept_apart(records: duckdb.DuckDBPyConnection) -> None:
    found, true, both = (records.sql(PAIRS.format(columns=c)).fetchone()[0] for c in ("person_id", "person", "person_id, person"))
    precision, recall = both / found, both / true
    # Measured: precision 0.972, recall 0.951. All wrong pairs are planted traps: two persons with one e-mail address or device.
    assert precision > 0.95
    assert recall > 0.93
