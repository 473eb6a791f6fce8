"""The lake: Delta tables by key under one root. Commits are atomic; every version says what it was made from.

A table's key is its path ("unified", "events"); whole-table writes replace the previous version. Landing of raw slices is in `landing.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import TableNotFoundError
from deltalake.transaction import AddAction, create_table_with_add_actions

from seg_assets.errors import LakeError
from seg_assets.lake.engine import Engine, WrittenFile
from seg_assets.lake.files import Key, files_at, side_by_side

RUN_ID = "run_id"
"""The one fact that tells two equal commits apart."""


@dataclass(frozen=True)
class Commit:
    """What a write left behind: Delta version, rows and bytes of the whole table, and where it is."""

    version: int
    rows: int
    size: int
    uri: str


class Lake:
    """Delta tables under `root`, read and written through one engine.

    Args:
        root: a local folder, or an object-store URL (s3://, gs://, az://) with credentials in the environment.
        engine: computes; None makes a default one.
        storage_options: passed to delta-rs for object stores.
    """

    def __init__(self, root: str | Path, engine: Engine | None = None, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = str(root)
        self.engine = engine or Engine()
        self.files = files_at(self.root, dict(storage_options or {}))

    def uri(self, key: Key) -> str:
        """Where the table of `key` lives."""
        return self.files.uri(key)

    def delta(self, key: Key, version: int | None = None) -> DeltaTable:
        """The Delta table itself.

        Raises:
            LakeError: there is no such table (or no such version), or the object store can't be reached.
        """
        try:
            with self.files.reached():
                return self.files.table(key, version)
        except TableNotFoundError:
            raise LakeError(
                f"the lake has no table {'/'.join(key)}", hint="`seg status` lists what is there, `seg run` makes what is missing"
            ) from None

    def exists(self, key: Key) -> bool:
        with self.files.reached():
            return self.files.holds(key)

    def tables(self) -> list[Key]:
        """The key of every table of the lake, sorted."""
        with self.files.reached():
            return self.files.keys()

    def schema(self, key: Key) -> ibis.Schema:
        """Names and types of the table's columns."""
        return ibis_schema(self.delta(key))

    def read(self, key: Key, *, version: int | None = None, row_number: str | None = None) -> ir.Table:
        """The table as a lazy expression.

        Args:
            key: which table.
            version: an older Delta version; None is the newest.
            row_number: name of a further column that numbers the rows of each file from 0.

        Raises:
            LakeError: there is no such table.
        """
        table = self.delta(key, version)
        files = self.files.addresses(key, table, self.engine)
        return self.engine.read_files(files, ibis_schema(table), partitions=table.metadata().partition_columns, row_number=row_number)

    def write(
        self,
        key: Key,
        data: ir.Table | pa.Table | pa.RecordBatchReader,
        *,
        partition_by: str | None = None,
        order_by: Sequence[str] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Replaces the table by `data` in one atomic commit; readers see the old version until then, and after a crash.

        Where the same facts (the run's own id aside) led to the same bytes there is nothing to commit: the version stays, and so does all that was made from it.

        Args:
            key: which table.
            data: an expression (computed in bounded memory) or Arrow data.
            partition_by: column whose values split the table on disk.
            order_by: columns rows are stored by; makes equal tables equal byte for byte.
            facts: kept in the commit (as_of, run, code version, inputs); read them with `facts`.
        """
        if isinstance(data, pa.Table):
            data = ibis.memtable(data)
        expr = data if isinstance(data, ir.Table) else self.engine.from_arrow(data)
        schema = delta_schema(expr.schema().to_pyarrow())
        files = self.engine.write_files(expr, self.files.staging(key), partition_by=partition_by, order_by=order_by)
        if self._stands(key, ibis.Schema.from_pyarrow(schema), files, facts or {}):
            for file in files:
                file.path.unlink()
            return self.commit(key)
        properties = CommitProperties(custom_metadata={name: json.dumps(value) for name, value in (facts or {}).items()})
        self.replace(key, schema, self.keep(key, files), partition_by=[partition_by] if partition_by else [], properties=properties)
        return Commit(self.delta(key).version(), sum(f.rows for f in files), sum(f.size for f in files), self.uri(key))

    def _stands(self, key: Key, schema: ibis.Schema, files: Sequence[WrittenFile], facts: Mapping[str, Any]) -> bool:
        """Whether the newest version has just this schema, these facts and, byte for byte, these files."""
        if not facts or not self.exists(key) or any(self.facts(key).get(name) != value for name, value in facts.items() if name != RUN_ID):
            return False
        table = self.delta(key)
        if ibis_schema(table) != schema:
            return False
        sizes = {unquote(a["path"]): a["size_bytes"] for a in pa.table(table.get_add_actions()).select(["path", "size_bytes"]).to_pylist()}
        new = {str(file.path.relative_to(self.files.staging(key))): file for file in files}
        if sorted((_folder(path), size) for path, size in sizes.items()) != sorted((_folder(path), file.size) for path, file in new.items()):
            return False

        def content(path: str) -> tuple[str, bytes]:
            with self.files.local(key, path) as file:
                return _folder(path), _hash(file)

        return sorted(side_by_side(content, sizes)) == sorted((_folder(path), _hash(file.path)) for path, file in new.items())

    def keep(self, key: Key, files: Sequence[WrittenFile]) -> list[AddAction]:
        """Brings written files to the table's place, where no reader sees them yet.

        Returns:
            What a commit that makes them visible has to say of them.
        """
        staging = self.files.staging(key)
        added = [_add_action(file, staging) for file in files]
        self.files.keep(key, files)
        return added

    def replace(
        self, key: Key, schema: pa.Schema, added: list[AddAction], *, partition_by: list[str], properties: CommitProperties, new: bool = False
    ) -> None:
        """Makes kept files all that a table holds, in one commit; `new` if it must not be there yet."""
        with self.files.reached():
            create_table_with_add_actions(
                self.uri(key),
                Schema.from_arrow(schema),
                added,
                mode="error" if new else "overwrite",
                partition_by=partition_by,
                storage_options=self.files.options,
                commit_properties=properties,
            )

    def commit(self, key: Key, version: int | None = None) -> Commit:
        """The commit of a version; None is the newest."""
        table = self.delta(key, version)
        actions = pa.table(table.get_add_actions(flatten=True))
        rows, size = (sum(actions.column(c).to_pylist()) for c in ("num_records", "size_bytes"))
        return Commit(table.version(), rows, size, self.uri(key))

    def next_version(self, key: Key) -> int:
        """The version the next write of a table makes."""
        return self.delta(key).version() + 1 if self.exists(key) else 0

    def facts(self, key: Key, version: int | None = None) -> dict[str, Any]:
        """What the commit of a version (None: the newest) said about itself; {} where there is no table."""
        if not self.exists(key):
            return {}
        newest = self.delta(key)
        entry = newest.history(1 if version is None else newest.version() - version + 1)[-1]
        return {name: json.loads(value) for name, value in entry.items() if isinstance(value, str) and _is_json(value)}

    def history(self, key: Key) -> Iterator[dict[str, Any]]:
        """What commits said of themselves, newest first, read as far as is asked for: each is a file of its own. Nothing where there is no table."""
        if self.exists(key):
            table = self.delta(key)
            newest = table.history(4)
            yield from newest
            yield from table.history()[len(newest) :]


def _add_action(file: WrittenFile, table_root: Path) -> AddAction:
    """The Delta log entry of a written file."""
    stats = json.dumps({"numRecords": file.rows})
    path = os.path.relpath(file.path, table_root)
    return AddAction(path, file.size, file.partition, int(file.path.stat().st_mtime * 1000), True, stats)


def delta_schema(schema: pa.Schema) -> pa.Schema:
    """The schema as Delta can hold it: microseconds, plain strings."""
    return pa.schema([field.with_type(_delta_type(field.type)).with_nullable(True) for field in schema])


def ibis_schema(table: DeltaTable) -> ibis.Schema:
    """A Delta table's schema in Ibis types."""
    return ibis.Schema.from_pyarrow(delta_schema(pa.schema(table.schema().to_arrow())))


def _delta_type(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(dtype):
        return pa.timestamp("us", tz="UTC" if dtype.tz else None)
    if pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype) or pa.types.is_null(dtype):
        return pa.string()
    if pa.types.is_large_binary(dtype) or pa.types.is_binary_view(dtype):
        return pa.binary()
    if pa.types.is_dictionary(dtype):
        return _delta_type(dtype.value_type)
    if pa.types.is_unsigned_integer(dtype):
        return {8: pa.int16(), 16: pa.int32(), 32: pa.int64(), 64: pa.int64()}[dtype.bit_width]
    if pa.types.is_date64(dtype):
        return pa.date32()
    if pa.types.is_float16(dtype):
        return pa.float32()
    if pa.types.is_time(dtype) or pa.types.is_duration(dtype):
        return pa.string()
    return dtype


def _folder(path: str) -> str:
    """The folder a file is in, which holds its partition values."""
    return path.rpartition("/")[0]


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
