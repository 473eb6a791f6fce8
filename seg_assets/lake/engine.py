"""The engine: turns Ibis expressions into rows and Parquet files. DuckDB today; Spark takes the same seam later.

Nothing here knows what a table means or where the lake keeps it.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

DEFAULT_MEMORY = "2GB"
PARTITION_ROWS = 61_440
"""Rows of a row group where a table is split into many files: with twice as many, DuckDB's own number, they take a third more time to write."""


@dataclass(frozen=True)
class WrittenFile:
    """One Parquet file an engine wrote: absolute path, rows, bytes and the partition values it holds."""

    path: Path
    rows: int
    size: int
    partition: Mapping[str, str | None]


class Engine:
    """DuckDB with bounded memory; spills to `scratch` and computes in UTC.

    Args:
        memory: limit as DuckDB writes it, e.g. "2GB"; `SEG_MEMORY` overrides the default.
        threads: worker threads; None is one per core.
        scratch: folder for spilled data; None is the system's temporary folder.
    """

    def __init__(self, *, memory: str | None = None, threads: int | None = None, scratch: Path | None = None) -> None:
        self._settings: dict[str, Any] = {
            "memory_limit": memory or os.environ.get("SEG_MEMORY", DEFAULT_MEMORY),
            "temp_directory": str(scratch or Path(tempfile.gettempdir()) / f"seg-spill-{os.getuid()}"),
            "preserve_insertion_order": False,
            "TimeZone": "UTC",
            "enable_progress_bar": False,  # it goes to standard output, where the answer of `--json` stands
        }
        if threads:
            self._settings["threads"] = threads

    @cached_property
    def connection(self) -> ibis.BaseBackend:
        """The Ibis backend, opened on first use; engines with equal settings share it. In-memory tables made anywhere are computed by it.

        Selections stay apart in its queries: Ibis would put each into the next, which costs it a fifth more time, and every column computed in one would be
        computed again wherever the next mentions it.
        """
        connection = _connection(tuple(self._settings.items()))
        ibis.set_backend(connection)
        ibis.options.sql.fuse_selects = False
        return connection

    def read_files(self, files: Sequence[str], schema: ibis.Schema, *, partitions: Sequence[str] = (), row_number: str | None = None) -> ir.Table:
        """Parquet files as one lazy table with exactly the columns of `schema`.

        Args:
            files: absolute paths, or addresses of a mounted file system; columns a file lacks are null.
            schema: names and types to deliver.
            partitions: columns whose values stand in the folder names.
            row_number: name of a further int64 column that numbers the rows of each file from 0.
        """
        delivered = ibis.schema({**schema, **({row_number: "int64"} if row_number else {})})
        if not files:
            return self.from_arrow(delivered.to_pyarrow().empty_table())
        hive = {name: _duckdb_type(schema[name]) for name in partitions}
        from duckdb import BinderException

        options = ["union_by_name = true", "hive_partitioning = " + ("true" if hive else "false")]
        if hive:
            options.append(f"hive_types = {{{', '.join(f'{_literal(n)}: {_literal(t)}' for n, t in hive.items())}}}")
        if row_number:
            options.append("file_row_number = true")
        paths = ", ".join(_literal(f) for f in files)
        source = f"read_parquet([{paths}], {', '.join(options)})"
        number = f", file_row_number AS {_identifier(row_number)}" if row_number else ""
        view = f"lake_{uuid.uuid4().hex}"

        def create(present: Collection[str]) -> None:
            columns = ", ".join(
                f"CAST({_identifier(n) if n in present else 'NULL'} AS {_duckdb_type(t)}) AS {_identifier(n)}" for n, t in schema.items()
            )
            self.connection.raw_sql(f"CREATE TEMP VIEW {view} AS SELECT {columns}{number} FROM {source}")

        try:
            create(schema.names)
        except BinderException:  # no file has one of the columns any more
            cursor = self.connection.raw_sql(f"SELECT * FROM {source} LIMIT 0")
            create({column[0] for column in cursor.description})
        # Its columns are known: to ask DuckDB for them would take longer than to read a small table.
        return ops.DatabaseTable(view, delivered, self.connection, ops.Namespace(catalog="temp", database="main")).to_expr()

    def from_arrow(self, data: pa.Table | pa.RecordBatchReader | Any) -> ir.Table:
        """Arrow data (a table, a reader or a dataset) as a lazy table of this engine; it stays referenced as long as the engine lives."""
        name = f"arrow_{uuid.uuid4().hex}"
        self.connection.con.register(name, data)
        return self.connection.table(name)

    def mount(self, filesystem: Any) -> None:
        """Lets `read_files` find files of an fsspec file system, by addresses with its protocol."""
        if not self.connection.con.filesystem_is_registered(filesystem.protocol):
            self.connection.con.register_filesystem(filesystem)

    def write_files(self, expr: ir.Table, folder: Path, *, partition_by: str | None = None, order_by: Sequence[str] = ()) -> list[WrittenFile]:
        """Computes `expr` into new Parquet files under `folder`, in parallel and in bounded memory."""
        folder.mkdir(parents=True, exist_ok=True)
        if order_by:
            expr = expr.order_by(list(order_by))
        layout = f"PARTITION_BY ({_identifier(partition_by)}), APPEND, ROW_GROUP_SIZE {PARTITION_ROWS}" if partition_by else "PER_THREAD_OUTPUT false"
        target = folder if partition_by else folder / f"part-{uuid.uuid4().hex}.parquet"
        naming = ", FILENAME_PATTERN 'part-{uuid}'" if partition_by else ""
        self.connection._run_pre_execute_hooks(expr)
        cursor = self.connection.raw_sql(
            f"COPY ({self.connection.compile(expr)}) TO {_literal(str(target))} (FORMAT parquet, COMPRESSION snappy, RETURN_STATS, {layout}{naming})"
        )
        rows = cursor.fetchall()
        return [WrittenFile(Path(row[0]), int(row[1]), int(row[2]), dict(row[5] or {})) for row in rows if int(row[1])]


@cache
def _connection(settings: tuple[tuple[str, Any], ...]) -> ibis.BaseBackend:
    connection = ibis.duckdb.connect()
    for name, value in settings:
        connection.raw_sql(f"SET {name} = {_literal(value)}")
    return connection


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def _duckdb_type(dtype: Any) -> str:
    from ibis.backends.sql.datatypes import DuckDBType

    return DuckDBType.to_string(dtype)
