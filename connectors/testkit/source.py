"""`SourceContract`: every row once, from wherever reading goes on, and nothing but what was declared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.conformance import source_fault
from connectors.errors import ConfigError, ConnectorError, SourceError
from connectors.testkit.proxy import Answer, Distort, Lose, Proxy, Replay
from connectors.testkit.world import CANARY, NOW, Contract, World, nobody, said, spilled
from connectors.types import Landing, Page, PiiClass, StreamDef

_PATIENCE = 60


class SourceContract(Contract):
    """What a source must do. See `Contract` for what to write; and also:

    Attributes:
        stream: which of its streams is tried; default the first.
        keys: columns that identify a row, where the stream declares none.
    """

    stream: ClassVar[str | None] = None
    keys: ClassVar[tuple[str, ...]] = ()

    def grow(self, vendor: Any) -> int:
        """Adds rows to the stand-in that changed at the same instant as its newest one; returns how many."""
        raise NotImplementedError

    def size(self, vendor: Any) -> int:
        """How many rows of the stream the stand-in holds; enough for several pages."""
        raise NotImplementedError

    # Helpers

    def _stream(self, world: World) -> StreamDef:
        streams = {one.name: one for one in world.make().streams(world.context)}
        return streams[self.stream] if self.stream else next(iter(streams.values()))

    def _read(self, world: World, cursor: Mapping[str, Any] | None = None, source: Any = None) -> list[Page]:
        return list((source or world.make()).read(self._stream(world).name, cursor, world.context))

    def _rows(self, pages: Sequence[Page]) -> list[dict[str, Any]]:
        return [row for page in pages for row in _table(page).to_pylist()]

    def _keys(self, world: World, pages: Sequence[Page]) -> Counter[tuple[Any, ...]]:
        names = self._stream(world).keys or self.keys
        if not names:
            pytest.skip("rows have no identity: declare StreamDef.keys, or `keys` in the contract")
        return Counter(tuple(row.get(name) for name in names) for row in self._rows(pages))

    def _landed(self, world: World, pages: Sequence[Page]) -> Counter[tuple[Any, ...]]:
        """Keys as the raw table would hold them: with REPLACE_SLICE the last pages of a slice count."""
        if self._stream(world).landing is Landing.APPEND:
            return self._keys(world, pages)
        last: dict[str, list[Page]] = {}
        before = None
        for page in pages:
            if page.slice != before:
                last[page.slice] = []
            last[page.slice].append(page)
            before = page.slice
        return self._keys(world, [page for of_slice in last.values() for page in of_slice])

    # Declarations

    def test_the_class_conforms(self) -> None:
        assert source_fault(self.connector) is None

    def test_streams_are_declared_without_a_request(self, world: World) -> None:
        streams = world.make().streams(world.context)
        assert streams, "no streams"
        assert len({one.name for one in streams}) == len(streams), "two streams of one name"
        assert world.proxy is None or not world.proxy.seen, "streams() sends requests"

    def test_what_is_declared_is_delivered(self, world: World) -> None:
        stream, pages = self._stream(world), self._read(world)
        columns = set().union(*(_table(page).column_names for page in pages))
        declared = {*stream.keys, *stream.pii, *([stream.cursor] if stream.cursor else [])}
        assert not declared - columns, f"declared and never delivered: {sorted(declared - columns)}"
        if stream.schema is not None:
            assert all(_table(page).schema.equals(stream.schema) for page in pages if _table(page).num_columns), "pages differ from StreamDef.schema"

    def test_columns_that_hold_persons_are_declared(self, world: World) -> None:
        stream = self._stream(world)
        if not stream.pii and stream.schema is None:
            pytest.skip("columns are only known after reading")
        exposed = {name for row in self._rows(self._read(world)) for name, value in row.items() if "@" in str(value)}
        assert not exposed - {name for name, kind in stream.pii.items() if kind is not PiiClass.NONE}, "declare these in StreamDef.pii"

    # Reading

    def test_every_row_is_delivered_once(self, world: World) -> None:
        keys = self._landed(world, self._read(world))
        assert len(keys) == self.size(world.vendor)
        assert set(keys.values()) == {1}, f"delivered more than once: {[key for key, n in keys.items() if n > 1][:3]}"

    def test_going_on_from_any_page_delivers_the_same(self, world: World) -> None:
        whole = self._read(world)
        wanted = self._landed(world, whole)
        for end in range(1, len(whole)):
            cursor = whole[end - 1].cursor
            if cursor is None or (
                end < len(whole) and whole[end].slice == whole[end - 1].slice and self._stream(world).landing is not Landing.APPEND
            ):
                continue
            kept = json.loads(json.dumps(cursor))
            assert set(self._landed(world, [*whole[:end], *self._read(world, kept)])) == set(wanted), f"differs when reading goes on after page {end}"

    def test_cursors_survive_json(self, world: World) -> None:
        cursors = [page.cursor for page in self._read(world) if page.cursor is not None]
        assert cursors, "no page has a cursor"
        assert all(json.loads(json.dumps(cursor)) == cursor for cursor in cursors)

    def test_rows_of_the_newest_instant_are_not_skipped(self, world: World) -> None:
        before = self._read(world)
        cursor = next(page.cursor for page in reversed(before) if page.cursor is not None)
        added = self.grow(world.vendor)
        after = self._read(world, cursor)
        assert len(set(self._landed(world, [*before, *after]))) == len(set(self._landed(world, before))) + added

    def test_the_watermark_changes_when_something_is_new_and_not_else(self, world: World) -> None:
        name = self._stream(world).name
        first = world.make().watermark(name, world.context)
        self._read(world)
        assert world.make().watermark(name, world.context) == first
        self.grow(world.vendor)
        assert world.make().watermark(name, world.context) != first
        assert isinstance(first, str)

    def test_pages_come_as_they_are_read(self, world: World) -> None:
        wire = world.wire
        everything = len(self._read(world))
        if everything < 3:
            pytest.skip("fewer than three pages")
        total, wire.seen = len(wire.hits), []
        list(islice(world.make().read(self._stream(world).name, None, world.context), 1))
        assert len(wire.hits) < total, "the first page comes only after everything was read"

    # When things go wrong on the way

    def test_a_vendor_that_leads_in_a_circle_is_an_error(self, world: World) -> None:
        if len(self._read(world)) < 2:
            pytest.skip("fewer than two pages")
        world.wire.seen = []
        world.wire.coming, world.wire.always = [None, *[Replay()] * _PATIENCE], Answer(400)
        with pytest.raises(SourceError):
            self._read(world)
        assert len(world.wire.hits) <= _PATIENCE, "paging went on and on"

    @pytest.mark.parametrize(
        "fault",
        [Lose(), Lose(applied=False), Distort(lambda _: None), Answer(503), Answer(429, {"Retry-After": "9"}), Answer(500)],
        ids=["lost answer", "lost request", "half an answer", "503", "429", "500"],
    )
    def test_a_passing_failure_costs_no_row(self, world: World, fault: Lose | Distort | Answer) -> None:
        wanted = self._landed(world, self._read(world))
        for good in range(3):
            world.wire.seen, world.wire.coming = [], [*[None] * good, fault]
            try:
                pages = self._read(world)
            except SourceError:
                continue  # an honest failure; the graph reads again
            assert self._landed(world, pages) == wanted

    def test_a_wish_for_a_pause_is_kept(self, world: World) -> None:
        world.wire.coming = [Answer(429, {"Retry-After": "9"})]
        try:
            self._read(world)
        except SourceError:
            return
        assert world.wire.hits[1].at >= NOW + 9

    def test_a_vendor_that_is_down_is_a_source_error_and_not_hammered(self, world: World) -> None:
        world.wire.always = Answer(503)
        with pytest.raises(SourceError):
            self._read(world)
        assert len(world.wire.hits) <= _PATIENCE

    @pytest.mark.parametrize("body", [b"", b"ok", b"[]", b"null"])
    def test_a_success_that_says_nothing_is_not_the_end_of_the_data(self, world: World, body: bytes) -> None:
        if not self._rows(self._read(world)):
            pytest.skip("nothing to lose")
        world.wire.always = Answer(200, {"Content-Type": "application/json"}, body)
        with pytest.raises(SourceError):
            self._read(world)

    def test_refused_credentials_are_the_users_to_mend(self, world: World) -> None:
        world.wire.always = Answer(401)
        with pytest.raises(ConfigError) as error:
            self._read(world)
        assert error.value.hint, "say what the user can do"
        assert len(world.wire.hits) <= 3, "refused credentials were tried again and again"

    def test_nobody_listening_is_a_source_error(self, world: World) -> None:
        world.wire  # noqa: B018  (skips without HTTP)
        with pytest.raises(SourceError):
            self._read(world, source=world.make(nobody()))

    def test_redirects_to_other_hosts_get_nothing(self, world: World) -> None:
        wire = world.wire
        with Proxy(world.vendor.url, world.clock.now).running() as elsewhere:
            wire.always = Answer(307, {"Location": elsewhere.url})
            with pytest.raises(ConnectorError):
                self._read(world)
            assert not elsewhere.seen, "a redirect to another address was followed, credentials with it"

    # Privacy

    def test_neither_secrets_nor_persons_are_said_or_kept(self, world: World) -> None:
        texts: list[str] = []
        source = world.make()
        for fault in (None, Answer(400, body=f"{CANARY}@example.org".encode()), Answer(500), Answer(401), Lose(), Answer(200, body=b"{")):
            if world.proxy:
                world.proxy.always = fault
            try:
                cursors = [page.cursor for page in self._read(world, source=source)]
                texts += [json.dumps(cursor) for cursor in cursors] + [repr(cursor) for cursor in cursors]
            except ConnectorError as error:
                texts += said(error)
        assert not spilled(world, *texts, repr(source), str(source))


def _table(page: Page) -> pa.Table:
    if page.parquet is not None:
        return pq.read_table(page.parquet)
    if isinstance(page.rows, pa.RecordBatch):
        return pa.Table.from_batches([page.rows])
    return page.rows if page.rows is not None else pa.table({})
