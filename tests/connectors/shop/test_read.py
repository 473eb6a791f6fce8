"""How the shop is read: slices, cursors, pages, the same bytes every time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.errors import SourceError
from connectors.shop import seg_sources
from connectors.shop import source as source_module
from connectors.shop.__main__ import export
from connectors.shop.config import ShopConfig
from connectors.shop.people import people
from connectors.shop.population import population
from connectors.shop.source import ShopSource
from connectors.shop.streams import MONTHLY, STREAMS
from connectors.types import Context, Landing, Source
from seg_assets.schema.tables import UNIFIED

SMALL = ShopConfig(customers=300)
NAMES = [s.name for s in STREAMS]


def at(context: Context, *when: int) -> Context:
    return replace(context, as_of=datetime(*when, tzinfo=UTC))


def test_the_plug_in_offers_a_source() -> None:
    (cls,) = seg_sources()
    assert isinstance(cls(ShopConfig()), Source)
    assert cls.meta.id == "shop"


def test_importing_the_plug_in_stays_light() -> None:
    code = "import connectors.shop.source, sys; sys.exit('numpy' in sys.modules and 'connectors.shop.population' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_every_stream_uses_the_column_names_of_its_canonical_table(context: Context) -> None:
    for stream in ShopSource(SMALL).streams(context):
        assert stream.landing is Landing.REPLACE_SLICE
        assert set(stream.schema.names) <= {c.name for c in UNIFIED[stream.shaped_as].columns}, stream.name


@pytest.mark.parametrize("stream", STREAMS, ids=NAMES)
def test_pages_have_the_declared_schema(stream, context: Context) -> None:
    pages = list(ShopSource(SMALL).read(stream.name, None, context))
    assert pages
    assert all(page.rows.schema == stream.schema for page in pages)


@pytest.mark.parametrize("stream", NAMES)
def test_reading_twice_gives_the_same_bytes(stream: str, read: Callable, context: Context) -> None:
    first = read(SMALL, stream, context)
    population.cache_clear()
    people.cache_clear()
    assert read(SMALL, stream, context) == first


@pytest.mark.parametrize("stream", NAMES)
def test_another_seed_gives_other_rows(stream: str, read: Callable, context: Context) -> None:
    assert read(SMALL, stream, context) != read(SMALL.model_copy(update={"seed": 8}), stream, context)


@pytest.mark.parametrize("stream", MONTHLY)
def test_a_slice_read_alone_equals_the_slice_of_a_full_read(stream: str, read: Callable, context: Context) -> None:
    pages = list(ShopSource(SMALL).read(stream, None, context))
    cursor = next(page.cursor for page in pages if page.slice == "2025-10")
    population.cache_clear()
    alone = next(iter(ShopSource(SMALL).read(stream, cursor, context)))
    assert alone.slice == "2025-11"
    assert alone.rows == read(SMALL, stream, context)["2025-11"]


def test_months_are_slices_in_order(context: Context) -> None:
    slices = [page.slice for page in ShopSource(SMALL).read("tracking", None, context)]
    assert slices == sorted(slices)
    assert (slices[0], slices[-1], len(set(slices))) == ("2025-07", "2026-06", 12)


@settings(max_examples=15, deadline=None)
@given(days=st.lists(st.floats(-5, 380), min_size=1, max_size=4), stream=st.sampled_from(NAMES))
def test_reading_step_by_step_equals_reading_once(days: list[float], stream: str, read: Callable, context: Context) -> None:
    held: dict[str, pa.Table] = {}
    cursor = None
    for day in sorted(days):
        now = replace(context, as_of=datetime(2025, 7, 1, tzinfo=UTC) + timedelta(days=day))
        for page in ShopSource(SMALL).read(stream, cursor, now):
            held[page.slice], cursor = page.rows, page.cursor
    assert held == read(SMALL, stream, now)


def test_a_record_is_updated_at_its_own_time(read: Callable, context: Context) -> None:
    early = {r["contact_id"]: r for r in read(SMALL, "crm", at(context, 2025, 9, 1))["all"].to_pylist()}
    late = {r["contact_id"]: r for r in read(SMALL, "crm", context)["all"].to_pylist()}
    changed = [key for key in early if key and early[key]["updated_at"] != late[key]["updated_at"]]
    assert changed
    assert all(early[key]["updated_at"] == early[key]["created_at"] and late[key]["updated_at"].isoformat() >= "2025-09-01" for key in changed)


def test_finished_months_are_not_read_again(context: Context) -> None:
    *_, last = ShopSource(SMALL).read("orders", None, at(context, 2025, 9, 15))
    again = [page.slice for page in ShopSource(SMALL).read("orders", last.cursor, at(context, 2025, 10, 2))]
    assert again == ["2025-09", "2025-10"]


def test_an_earlier_as_of_only_cuts_rows_off(read: Callable, context: Context) -> None:
    config = SMALL.model_copy(update={"dirt": 0.0})
    moment = datetime(2025, 11, 11, 13, tzinfo=UTC)
    partial = read(config, "email", replace(context, as_of=moment))["2025-11"]
    whole = read(config, "email", context)["2025-11"]
    assert partial == whole.filter(pa.array([t <= moment for t in whole["event_time"].to_pylist()]))


def test_nothing_is_delivered_beyond_as_of(read: Callable, context: Context) -> None:
    config = SMALL.model_copy(update={"dirt": 0.0})
    now = at(context, 2025, 12, 24, 18)
    for stream, column in (
        ("email", "event_time"),
        ("mentions", "mention_time"),
        ("crm", "created_at"),
        ("crm", "updated_at"),
        ("storefront", "updated_at"),
    ):
        for table in read(config, stream, now).values():
            assert all(t <= now.as_of for t in table[column].to_pylist()), (stream, column)
    assert all(t <= "2025-12-24T18:00:00.000Z" for table in read(config, "tracking", now).values() for t in table["event_time"].to_pylist())


@pytest.mark.parametrize("stream", ["orders", "consents"])
def test_the_watermark_moves_exactly_when_there_is_something_to_read(stream: str, context: Context) -> None:
    source = ShopSource(SMALL)
    before, after = at(context, 2025, 8, 5), at(context, 2025, 8, 6)
    *_, last = source.read(stream, None, before)
    assert source.watermark(stream, before) == source.watermark(stream, before)
    assert not list(source.read(stream, last.cursor, before))
    assert source.watermark(stream, after) != source.watermark(stream, before)
    assert list(source.read(stream, last.cursor, after))


def test_after_the_end_the_watermark_stands_still(context: Context) -> None:
    source = ShopSource(SMALL)
    assert source.watermark("orders", at(context, 2026, 7, 1)) == source.watermark("orders", at(context, 2027, 1, 1))


def test_a_cursor_of_another_configuration_is_ignored(context: Context) -> None:
    *_, last = ShopSource(SMALL).read("mentions", None, context)
    other = ShopSource(SMALL.model_copy(update={"seed": 99}))
    assert len({page.slice for page in other.read("mentions", last.cursor, context)}) == 12


def test_large_slices_come_in_pages(read: Callable, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(SMALL, "tracking", context)
    monkeypatch.setattr(source_module, "PAGE", 100)
    pages = list(ShopSource(SMALL).read("tracking", None, context))
    assert max(page.rows.num_rows for page in pages) <= 100
    assert read(SMALL, "tracking", context) == whole


def test_the_smallest_shop_has_every_slice(context: Context) -> None:
    for stream in MONTHLY:
        slices = [page.slice for page in ShopSource(ShopConfig(customers=1)).read(stream, None, context)]
        assert len(slices) == 12


def test_a_period_inside_one_month_works(read: Callable, context: Context) -> None:
    config = ShopConfig(customers=2000, start=date(2025, 3, 10), end=date(2025, 3, 12), dirt=0)
    (table,) = read(config, "tracking", context).values()
    times = table["event_time"].to_pylist()
    assert min(times) >= "2025-03-10T00"
    assert max(times) < "2025-03-13T00"


def test_persons_of_a_second_block_have_ids_of_their_own(read: Callable, context: Context) -> None:
    config = ShopConfig(customers=50_200, start=date(2026, 6, 29), end=date(2026, 6, 30), dirt=0)
    for stream, key in (("storefront", "contact_id"), ("consents", "consent_id"), ("tracking", "event_id")):
        for table in read(config, stream, context).values():
            ids = table[key].to_pylist()
            assert len(set(ids)) == len(ids)


def test_an_unknown_stream_is_named_in_the_error(context: Context) -> None:
    with pytest.raises(SourceError, match=r"no stream 'sales' .*tracking"):
        list(ShopSource(SMALL).read("sales", None, context))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"customers": 0}, "greater than or equal to 1"),
        ({"customers": 10_000_001}, "less than or equal to 10000000"),
        ({"dirt": 1.5}, "less than or equal to 1"),
        ({"timezone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"timezone": "../etc"}, "no time zone"),
        ({"start": "2026-01-01", "end": "2025-01-01"}, "is before start"),
        ({"start": "2001-01-01", "end": "2026-01-01"}, "at most 20 years"),
        ({"costumers": 5}, "Extra inputs are not permitted"),
    ],
)
def test_a_setting_that_can_not_work_is_explained(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ShopConfig.model_validate(settings)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in ShopConfig.model_fields.values())


def test_no_truth_is_written_unless_asked_for(tmp_path: Path, context: Context) -> None:
    for stream in NAMES:
        list(ShopSource(SMALL).read(stream, None, replace(context, root=tmp_path)))
    assert not list(tmp_path.iterdir())


def test_the_command_exports_every_slice_and_the_truth(tmp_path: Path) -> None:
    done = CliRunner().invoke(export, ["--customers", "50", "--end", "2025-08-15", "--out", str(tmp_path)])
    assert done.exit_code == 0
    assert "tracking" in done.output
    assert {p.name for p in (tmp_path / "tracking").iterdir()} == {"2025-07.parquet", "2025-08.parquet"}
    assert pq.read_table(tmp_path / "truth" / "persons.parquet").num_rows == 50
    assert not list(tmp_path.rglob("*.partial"))


def test_the_command_explains_bad_settings(tmp_path: Path) -> None:
    done = CliRunner().invoke(export, ["--end", "2020-01-01", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "is before start" in done.output
