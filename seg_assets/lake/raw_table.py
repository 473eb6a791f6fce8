"""A raw table in the lake: Parquet files by slice and landing run, rows that were refused beside it, and the commits that change it."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction, RemoveAction

from connectors.types import Landing, Page, Reject
from seg_assets.lake.drift import ASIDE, tables_of
from seg_assets.lake.engine import WrittenFile
from seg_assets.lake.lake import Key, Lake, delta_schema

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


def landed_cursor(lake: Lake, key: Key) -> dict[str, Any] | None:
    """The cursor of the newest landing, or None where nothing was landed yet."""
    newest = next((entry[CURSOR] for entry in lake.history(key) if CURSOR in entry), None)
    return json.loads(newest) if newest else None


def rejects_key(key: Key) -> Key:
    """Where the rejects of a raw table are kept."""
    return ("rejects", *key[1:])


def drifted_key(key: Key) -> Key:
    """Where rows are set aside that do not fit a raw table's columns."""
    return ("drifted", *key[1:])


REJECT_SCHEMA = pa.schema([("slice", pa.string()), ("position", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True)
class Slice:
    name: str
    files: tuple[WrittenFile, ...] = ()
    rejects: tuple[Reject, ...] = ()
    cursor: Mapping[str, Any] | None = None
    schema: pa.Schema | None = None

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files)


class RawTable:
    """The raw table while pages land on it."""

    def __init__(self, lake: Lake, key: Key, landing: Landing, loaded_at: datetime, facts: Mapping[str, Any]) -> None:
        self.lake, self.key, self.landing, self.facts = lake, key, landing, facts
        self.staging = lake.files.staging(key)
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
        return self.lake.exists(self.key) and any(values[SLICE] == slice for _, _, values in files_of(self.lake.delta(self.key)))

    def add(self, page: Page) -> None:
        """Makes a page visible beside what its slice holds already."""
        written = self.write_slice(page.slice, iter([page]))
        self.commit(Landed(), [written], replacing=False)

    def taken(self) -> set[str]:
        """Files of rows set aside that were taken in last."""
        return set(json.loads(next((entry[TAKEN] for entry in self.lake.history(self.key) if TAKEN in entry), "[]")))

    def remove(self, files: set[str]) -> None:
        """Makes files invisible."""
        table = self.lake.delta(self.key)
        removes: list[AddAction | RemoveAction] = [self._removal(*file) for file in files_of(table) if file[0] in files]
        table.create_write_transaction(removes, "append", table.schema(), list(PARTITIONS), commit_properties=self._properties({}, self.facts))

    def stored(self, path: str) -> AbstractContextManager[Path]:
        """A file of the table on this machine, for as long as the context lasts."""
        return self.lake.files.local(self.key, path)

    def write_slice(self, name: str, pages: Iterator[Page], loaded_at: str | None = None) -> Slice:
        """Writes the pages of one slice to files that no reader sees yet; `loaded_at` where they came earlier than in this run."""
        partition: dict[str, str | None] = {SLICE: name, LOADED_AT: loaded_at or self.loaded_at}
        folder = self.staging / "/".join(f"{column}={quote(value or '', safe='')}" for column, value in partition.items())
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
                schema = merged(schema, pq.read_schema(path))
                continue
            for rows in tables_of(page):
                rows = rows.cast(delta_schema(rows.schema))
                if writer is None or not writer.schema.equals(rows.schema):
                    finish()
                    path = folder / f"part-{uuid.uuid4().hex}.parquet"
                    writer = pq.ParquetWriter(path, rows.schema, compression="snappy")
                writer.write_table(rows)
                schema = merged(schema, rows.schema)
        finish()
        return Slice(name, tuple(files), tuple(rejects), cursor, schema)

    def commit(self, done: Landed, slices: list[Slice], *, replacing: bool = True, facts: Mapping[str, Any] = MappingProxyType({})) -> Landed:
        """Makes slices visible, with the cursor that covers them; `replacing` what they held before, where the stream's slices do."""
        cursor = next((s.cursor for s in reversed(slices) if s.cursor is not None), done.cursor)
        properties = self._properties(cursor, {**self.facts, **facts})
        if replacing:
            self._write_rejects(slices)
        delivered = merged(*(s.schema for s in slices))
        partitions = pa.schema([(SLICE, pa.string()), (LOADED_AT, pa.timestamp("us", tz="UTC"))])
        adds = self.lake.keep(self.key, [file for s in slices for file in s.files])
        if not self.lake.exists(self.key):
            schema = pa.schema([*delta_schema(delivered or pa.schema([])), *partitions])
            self.lake.replace(self.key, schema, adds, partition_by=list(PARTITIONS), properties=properties, new=True)
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
        wanted = merged(have, delivered and delta_schema(delivered)) or have
        if any(wanted.field(f.name).type != f.type for f in have) or _differs(delivered, wanted):
            self._rewrite(table, adds, replaced, wanted, properties)
            return
        new = [f for f in wanted if f.name not in have.names]
        if new:
            table.alter.add_columns(list(Schema.from_arrow(pa.schema(new)).fields))
            table = self.lake.delta(self.key)
        removes = [self._removal(path, size, values) for path, size, values in files_of(table) if values[SLICE] in replaced]
        if adds or removes or not replaced:
            table.create_write_transaction([*adds, *removes], "append", table.schema(), list(PARTITIONS), commit_properties=properties)

    def _removal(self, path: str, size: int, values: Mapping[str, str | None]) -> RemoveAction:
        return RemoveAction(path, True, int(datetime.fromisoformat(self.loaded_at).timestamp() * 1000), size, dict(values))

    def _properties(self, cursor: Mapping[str, Any], facts: Mapping[str, Any]) -> CommitProperties:
        return CommitProperties(custom_metadata={CURSOR: json.dumps(cursor)} | {name: json.dumps(value) for name, value in facts.items()})

    def _rewrite(self, table: DeltaTable, adds: list[AddAction], replaced: set[str], wanted: pa.Schema, properties: CommitProperties) -> None:
        """A column changed its type: every file is written anew in the common type, in one commit."""
        kept = [(path, values) for path, _, values in files_of(table) if values[SLICE] not in replaced]
        kept += [(add.path, dict(add.partition_values)) for add in adds]
        files = [self._rewritten(path, values, wanted) for path, values in kept]
        self.lake.replace(self.key, wanted, self.lake.keep(self.key, files), partition_by=list(PARTITIONS), properties=properties)

    def _rewritten(self, path: str, partition: Mapping[str, str | None], wanted: pa.Schema) -> WrittenFile:
        target = (self.staging / path).with_name(f"part-{uuid.uuid4().hex}.parquet")
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.stored(path) as stored, pq.ParquetFile(stored) as source:
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

    def _write_rejects(self, slices: list[Slice]) -> None:
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


def files_of(table: DeltaTable) -> list[tuple[str, int, dict[str, str | None]]]:
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


def merged(*schemas: pa.Schema | None) -> pa.Schema | None:
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
