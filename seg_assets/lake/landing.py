"""Landing: what a source delivered becomes the raw table, slice by slice, together with the cursor that covers it.

One Parquet file per slice, in folders named by the partition columns `_slice` and `_loaded_at`; pages that are only ever added share files. Rows and the
cursor that covers them are one Delta commit: whenever the process ends, reading goes on behind what is visible.
"""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from connectors.types import Landing, Page, Reject
from seg_assets.errors import LakeError
from seg_assets.lake.drift import ASIDE, Drift, differences, split, tables_of
from seg_assets.lake.engine import WrittenFile
from seg_assets.lake.lake import Key, Lake, add_action, delta_schema

SLICE, LOADED_AT, ROW = "_slice", "_loaded_at", "_row"
"""Columns every raw table has beside the delivered ones: slice, instant of the landing run, and row number inside the slice."""

PARTITIONS = (SLICE, LOADED_AT)
CURSOR, TAKEN = "cursor", "taken_back"
"""Facts of a commit: how far the source was read, and which files of rows that had been set aside it took in."""


@dataclass(frozen=True)
class Landed:
    """What a landing did: rows and bytes of the slices that are new or replaced, every reject it met, and how columns differ from those before."""

    slices: int = 0
    rows: int = 0
    size: int = 0
    rejects: tuple[Reject, ...] = ()
    cursor: Mapping[str, Any] = field(default_factory=dict)
    drift: tuple[str, ...] = ()


def land(
    lake: Lake,
    key: Key,
    pages: Iterable[Page],
    *,
    landing: Landing,
    loaded_at: datetime,
    facts: Mapping[str, Any],
    drift: Drift = Drift.EVOLVE,
    declared: pa.Schema | None = None,
    commit_bytes: int = 256_000_000,
    commit_seconds: float = 30.0,
    on_commit: Callable[[Landed], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Landed:
    """Lands pages as they come, and makes them visible now and then, so that little is read again after a crash.

    Args:
        lake: a local lake.
        key: the raw table.
        pages: what the source reads, slice after slice.
        landing: whether a slice replaces what it held before.
        loaded_at: instant of the run (UTC).
        facts: kept in every commit beside the cursor.
        drift: what to do with columns the table does not have.
        declared: columns the source says it delivers; they count as the table's until it has some of its own.
        commit_bytes: bytes after which what was read is made visible; as much is held on disk unseen, and one page in memory.
        commit_seconds: seconds after which it is.
        on_commit: hears how far landing has come.
        clock: seconds of any origin.

    Raises:
        SchemaDriftError: `drift` is FREEZE and other columns came. What came before them is kept.
    """
    if not lake.is_local:
        raise LakeError(
            f"raw data can't land in {lake.root}",
            hint="keep the lake in a local folder; tables that are there already can be read from an object store",
        )
    table = _RawTable(lake, key, landing, loaded_at, facts)
    aside = _RawTable(lake, drifted_key(key), landing, loaded_at, facts)
    known, found = table.columns() or declared, list[str]()
    done, pending, since = _taken_back(table, aside, known, drift), list[_Slice](), clock()
    if known is not None and drift is not Drift.EVOLVE:
        pages = _admitted(pages, aside, delta_schema(known), drift, found)
    groups = groupby(pages, key=lambda page: page.slice) if landing is Landing.REPLACE_SLICE else _runs(pages, commit_bytes, commit_seconds, clock)
    try:
        for name, group in groups:
            pending.append(table.write_slice(name, group))
            if sum(s.size for s in pending) >= commit_bytes or clock() - since >= commit_seconds:
                done, pending, since = table.commit(done, pending), [], clock()
                on_commit(done)
    except Exception:
        if pending:  # what was read whole is kept: the next run goes on behind it
            table.commit(done, pending)
        raise
    done = table.commit(done, pending) if pending or not lake.exists(key) else done
    evolved = differences(delta_schema(known), table.columns() or pa.schema([])) if known is not None else []
    return replace(done, drift=tuple(dict.fromkeys([*found, *evolved])))


def _runs(pages: Iterable[Page], most_bytes: int, most_seconds: float, clock: Callable[[], float]) -> Iterator[tuple[str, Iterator[Page]]]:
    """Pages that are only added, in runs that share a file. A run ends behind a page with a cursor, for reading can go on from there."""
    rest, failure = iter(pages), list[Exception]()

    def run(page: Page) -> Iterator[Page]:
        began, size = clock(), 0
        while True:
            yield page
            size += page.rows.nbytes if page.rows is not None else page.parquet.stat().st_size if page.parquet else 0
            resumable = page.cursor is not None
            if resumable and (size >= most_bytes or clock() - began >= most_seconds):
                return
            try:
                following = next(rest, None)
            except Exception as error:
                if not resumable:
                    raise
                failure.append(error)
                return
            if following is None:
                return
            page = following

    for first in rest:
        yield first.slice, run(first)
        if failure:
            raise failure[0]


def _admitted(pages: Iterable[Page], aside: _RawTable, known: pa.Schema, policy: Drift, found: list[str]) -> Iterator[Page]:
    """Pages as far as they fit the known columns. What does not fit is visible in `aside` before the page's cursor is; `found` hears what differs."""
    before: str | None = None
    for page in pages:
        if page.slice != before and aside.landing is Landing.REPLACE_SLICE and aside.holds(page.slice):
            aside.commit(Landed(), [_Slice(page.slice)])
        before = page.slice
        for part in split(page, known, policy):
            found += [reason for reject in part.fitting.rejects if part.aside is not None for reason in reject.reason.split("; ")]
            if part.aside is not None:
                aside.add(Page(page.slice, part.aside))
            yield part.fitting


def _taken_back(table: _RawTable, aside: _RawTable, known: pa.Schema | None, policy: Drift) -> Landed:
    """Lands what was set aside and fits now, beside what its slices hold: all of it where columns may evolve, else files without any difference.

    The commit that has the rows names the files they come from, so that after a crash before those are removed they are not taken again.
    """
    done = Landed(cursor=table.cursor())
    if not table.lake.exists(aside.key):
        return done
    files = _files_of(table.lake.delta(aside.key))
    fitting = [
        (path, values)
        for path, _, values in files
        if known is None or policy is Drift.EVOLVE or not differences(delta_schema(known), delta_schema(pq.read_schema(aside.root / path)))
    ]
    taken = table.taken()
    new = [(path, values) for path, values in fitting if path not in taken]
    if new:
        slices = [table.write_slice(str(v[SLICE]), iter([Page(str(v[SLICE]), parquet=aside.root / path)]), v[LOADED_AT]) for path, v in new]
        done = table.commit(done, slices, replacing=False, facts={TAKEN: [path for path, _ in new]})
    gone = taken | {path for path, _ in new}
    if any(path in gone for path, _, _ in files):
        left = {values[SLICE] for path, _, values in files if path not in gone}
        table.forget_drift({str(values[SLICE]) for path, _, values in files if path in gone and values[SLICE] not in left})
        aside.remove(gone)
    return done


def landed_cursor(lake: Lake, key: Key) -> dict[str, Any] | None:
    """The cursor of the newest landing, or None where nothing was landed yet."""
    if not lake.exists(key):
        return None
    entries = (entry[CURSOR] for entry in lake.delta(key).history() if CURSOR in entry)
    newest = next(entries, None)
    return json.loads(newest) if newest else None


def rejects_key(key: Key) -> Key:
    """Where the rejects of a raw table are kept."""
    return ("rejects", *key[1:])


def drifted_key(key: Key) -> Key:
    """Where rows are set aside that do not fit a raw table's columns."""
    return ("drifted", *key[1:])


REJECT_SCHEMA = pa.schema([("slice", pa.string()), ("position", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True)
class _Slice:
    name: str
    files: tuple[WrittenFile, ...] = ()
    rejects: tuple[Reject, ...] = ()
    cursor: Mapping[str, Any] | None = None
    schema: pa.Schema | None = None

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files)


class _RawTable:
    """The raw table while pages land on it."""

    def __init__(self, lake: Lake, key: Key, landing: Landing, loaded_at: datetime, facts: Mapping[str, Any]) -> None:
        self.lake, self.key, self.landing, self.facts = lake, key, landing, facts
        self.root = Path(lake.uri(key))
        self.loaded_at = loaded_at.strftime("%Y-%m-%d %H:%M:%S.%f")

    def cursor(self) -> dict[str, Any]:
        return landed_cursor(self.lake, self.key) or {}

    def columns(self) -> pa.Schema | None:
        """Delivered columns the table has, or None where nothing was landed yet."""
        if not self.lake.exists(self.key):
            return None
        schema = pa.schema(self.lake.delta(self.key).schema().to_arrow())
        return delta_schema(pa.schema([f for f in schema if f.name not in PARTITIONS])) if len(schema) > len(PARTITIONS) else None

    def holds(self, slice: str) -> bool:
        """Whether rows of a slice are visible."""
        return self.lake.exists(self.key) and any(values[SLICE] == slice for _, _, values in _files_of(self.lake.delta(self.key)))

    def add(self, page: Page) -> None:
        """Makes a page visible beside what its slice holds already."""
        written = self.write_slice(page.slice, iter([page]))
        self.commit(Landed(), [written], replacing=False)

    def taken(self) -> set[str]:
        """Files of rows set aside that were taken in last."""
        entries = (entry[TAKEN] for entry in self.lake.delta(self.key).history() if TAKEN in entry) if self.lake.exists(self.key) else iter(())
        return set(json.loads(next(entries, "[]")))

    def remove(self, files: set[str]) -> None:
        """Makes files invisible."""
        table = self.lake.delta(self.key)
        removes: list[AddAction | RemoveAction] = [self._removal(*file) for file in _files_of(table) if file[0] in files]
        table.create_write_transaction(removes, "append", table.schema(), list(PARTITIONS), commit_properties=self._properties({}, self.facts))

    def write_slice(self, name: str, pages: Iterator[Page], loaded_at: str | None = None) -> _Slice:
        """Writes the pages of one slice to files that no reader sees yet; `loaded_at` where they came earlier than in this run."""
        partition: dict[str, str | None] = {SLICE: name, LOADED_AT: loaded_at or self.loaded_at}
        folder = self.root / "/".join(f"{column}={quote(value or '', safe='')}" for column, value in partition.items())
        files: list[WrittenFile] = []
        rejects: list[Reject] = []
        cursor, schema = None, None
        writer: pq.ParquetWriter | None = None
        path = folder

        def finish() -> None:
            nonlocal writer
            if writer:
                writer.close()
                files.append(WrittenFile(path, pq.read_metadata(path).num_rows, path.stat().st_size, partition))
                writer = None

        for page in pages:
            rejects.extend(page.rejects)
            cursor = page.cursor if page.cursor is not None else cursor
            if page.parquet is None and page.rows is None:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            if page.parquet is not None and _lands_as_it_is(page.parquet):
                finish()
                path = folder / f"part-{uuid.uuid4().hex}.parquet"
                shutil.copyfile(page.parquet, path)
                files.append(WrittenFile(path, pq.read_metadata(path).num_rows, path.stat().st_size, partition))
                schema = _merged(schema, pq.read_schema(path))
                continue
            for rows in tables_of(page):
                rows = rows.cast(delta_schema(rows.schema))
                if writer is None or not writer.schema.equals(rows.schema):
                    finish()
                    path = folder / f"part-{uuid.uuid4().hex}.parquet"
                    writer = pq.ParquetWriter(path, rows.schema, compression="snappy")
                writer.write_table(rows)
                schema = _merged(schema, rows.schema)
        finish()
        return _Slice(name, tuple(files), tuple(rejects), cursor, schema)

    def commit(self, done: Landed, slices: list[_Slice], *, replacing: bool = True, facts: Mapping[str, Any] = MappingProxyType({})) -> Landed:
        """Makes slices visible, with the cursor that covers them; `replacing` what they held before, where the stream's slices do."""
        cursor = next((s.cursor for s in reversed(slices) if s.cursor is not None), done.cursor)
        properties = self._properties(cursor, {**self.facts, **facts})
        if replacing:
            self._write_rejects(slices)
        delivered = _merged(*(s.schema for s in slices))
        partitions = pa.schema([(SLICE, pa.string()), (LOADED_AT, pa.timestamp("us", tz="UTC"))])
        adds = [add_action(file, self.root) for s in slices for file in s.files]
        if not self.lake.exists(self.key):
            schema = pa.schema([*delta_schema(delivered or pa.schema([])), *partitions])
            create_table_with_add_actions(
                str(self.root), Schema.from_arrow(schema), adds, mode="error", partition_by=list(PARTITIONS), commit_properties=properties
            )
        else:
            self._append(adds, {s.name for s in slices} if replacing and self.landing is Landing.REPLACE_SLICE else set(), delivered, properties)
        return Landed(
            done.slices + len(slices),
            done.rows + sum(f.rows for s in slices for f in s.files),
            done.size + sum(s.size for s in slices),
            (*done.rejects, *(r for s in slices for r in s.rejects)),
            cursor,
        )

    def _append(self, adds: list[AddAction], replaced: set[str], delivered: pa.Schema | None, properties: CommitProperties) -> None:
        """One commit that adds the new files and removes those of replaced slices; new columns are added to the schema before it."""
        table = self.lake.delta(self.key)
        have = delta_schema(pa.schema(table.schema().to_arrow()))
        wanted = _merged(have, delivered and delta_schema(delivered)) or have
        if any(wanted.field(f.name).type != f.type for f in have) or _differs(delivered, wanted):
            self._rewrite(table, adds, replaced, wanted, properties)
            return
        new = [f for f in wanted if f.name not in have.names]
        if new:
            table.alter.add_columns(list(Schema.from_arrow(pa.schema(new)).fields))
            table = self.lake.delta(self.key)
        removes = [self._removal(path, size, values) for path, size, values in _files_of(table) if values[SLICE] in replaced]
        if adds or removes or not replaced:
            table.create_write_transaction([*adds, *removes], "append", table.schema(), list(PARTITIONS), commit_properties=properties)

    def _removal(self, path: str, size: int, values: Mapping[str, str | None]) -> RemoveAction:
        return RemoveAction(path, True, int(datetime.fromisoformat(self.loaded_at).timestamp() * 1000), size, dict(values))

    def _properties(self, cursor: Mapping[str, Any], facts: Mapping[str, Any]) -> CommitProperties:
        return CommitProperties(custom_metadata={CURSOR: json.dumps(cursor)} | {name: json.dumps(value) for name, value in facts.items()})

    def _rewrite(self, table: DeltaTable, adds: list[AddAction], replaced: set[str], wanted: pa.Schema, properties: CommitProperties) -> None:
        """A column changed its type: every file is written anew in the common type, in one commit."""
        kept = [(path, values) for path, _, values in _files_of(table) if values[SLICE] not in replaced]
        kept += [(add.path, dict(add.partition_values)) for add in adds]
        files = [self._rewritten(self.root / path, values, wanted) for path, values in kept]
        create_table_with_add_actions(
            str(self.root),
            Schema.from_arrow(wanted),
            [add_action(file, self.root) for file in files],
            mode="overwrite",
            partition_by=list(PARTITIONS),
            commit_properties=properties,
        )

    def _rewritten(self, path: Path, partition: Mapping[str, str | None], wanted: pa.Schema) -> WrittenFile:
        target = path.with_name(f"part-{uuid.uuid4().hex}.parquet")
        with pq.ParquetFile(path) as source:
            schema = pa.schema([f.with_type(wanted.field(f.name).type) for f in source.schema_arrow])
            with pq.ParquetWriter(target, schema, compression="snappy") as writer:
                for batch in source.iter_batches():
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
        return WrittenFile(target, pq.read_metadata(target).num_rows, target.stat().st_size, partition)

    def forget_drift(self, slices: set[str]) -> None:
        """Drops what was said of rows set aside of these slices, as they are back."""
        key = rejects_key(self.key)
        if self.lake.exists(key):
            told = self.lake.read(key).to_pyarrow()
            kept = [one for one in told.to_pylist() if one["slice"] not in slices or not re.match(ASIDE, one["position"] or "")]
            self.lake.write(key, pa.Table.from_pylist(kept, told.schema), order_by=("slice", "position", "reason"), facts=self.facts)

    def _write_rejects(self, slices: list[_Slice]) -> None:
        """Rejects of the slices, in a table beside the raw one. Written first: after a crash the same slices are read and replaced again."""
        from pyarrow.dataset import field as column

        key = rejects_key(self.key)
        new = [{"slice": r.slice, "position": r.position, "reason": r.reason} for s in slices for r in s.rejects]
        old = self.lake.read(key).to_pyarrow() if self.lake.exists(key) else REJECT_SCHEMA.empty_table()
        if self.landing is Landing.REPLACE_SLICE and old.num_rows:
            old = old.filter(~column("slice").isin([s.name for s in slices]))
        table = pa.concat_tables([old.cast(REJECT_SCHEMA), pa.Table.from_pylist(new, REJECT_SCHEMA)])
        table = table.group_by(REJECT_SCHEMA.names).aggregate([]).cast(REJECT_SCHEMA)  # a slice that is read again after a crash tells the same again
        if new or self.lake.exists(key):
            self.lake.write(key, table, order_by=("slice", "position", "reason"), facts=self.facts)


def _files_of(table: DeltaTable) -> list[tuple[str, int, dict[str, str | None]]]:
    """Path below the table's root, size and partition values of every file of the newest version."""
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return [
        (unquote(a["path"]), a["size_bytes"], {SLICE: a[f"partition.{SLICE}"], LOADED_AT: _partition_text(a[f"partition.{LOADED_AT}"])})
        for a in actions
    ]


def _partition_text(instant: datetime | None) -> str | None:
    return instant.strftime("%Y-%m-%d %H:%M:%S.%f") if instant else None


def _lands_as_it_is(path: Path) -> bool:
    """Whether Delta readers understand the file's types without a rewrite."""
    schema = pq.read_schema(path)
    return all(f.type == _compatible for f, _compatible in zip(schema, delta_schema(schema).types, strict=True))


def _differs(delivered: pa.Schema | None, wanted: pa.Schema) -> bool:
    return delivered is not None and any(wanted.field(f.name).type != f.type for f in delta_schema(delivered))


def _merged(*schemas: pa.Schema | None) -> pa.Schema | None:
    """Columns of all schemas; where types differ the type that holds both, text at last."""
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for f in schema or ():
            fields[f.name] = pa.field(f.name, _common_type(fields[f.name].type, f.type) if f.name in fields else f.type)
    return pa.schema(list(fields.values())) if any(s is not None for s in schemas) else None


def _common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    try:
        unified = pa.unify_schemas([pa.schema([("x", one)]), pa.schema([("x", other)])], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.string()
    return unified.field("x").type
