"""Where the ledger is kept: its tables, and reading and writing them in bulk. SQLite by default, Postgres by URL; one text of each statement for both.

Rows go in as one JSON text per statement, whatever their number: no limit of parameters, and one round trip. What the rows mean is in `ledger` and `claim`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import sqlalchemy as sa
from pyarrow import csv
from sqlalchemy import event
from sqlalchemy.types import TypeEngine

METADATA = sa.MetaData()
IN_FLIGHT = ("sending", "in_doubt")
WAITING = ("gated", "retry_wait", "rejected")
LOCK_SECONDS = 30


def in_states(states: Sequence[str]) -> str:
    """SQL text of an index's condition; queries that shall use the index have the same.

    Alternatives and no `in (...)`: for each row written, SQLite would build the list anew (10 of 50 µs an operation takes).
    """
    return f"({' or '.join(f'ops.state = {state!r}' for state in states)})"


def as_json(values: Any) -> str:
    """What goes to the store in bulk."""
    return orjson.dumps(values).decode()


def _table(name: str, *columns: Any, **options: Any) -> sa.Table:
    return sa.Table(name, METADATA, *columns, **options)


def _where(name: str, *columns: str, states: Sequence[str], unique: bool = False) -> sa.Index:
    """An index over operations in some states only; all others cost it nothing."""
    condition = sa.text(in_states(states).replace("ops.", ""))
    return sa.Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


TARGETS = _table(
    "targets",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("destination", sa.String, nullable=False),
    sa.Column("object", sa.String, nullable=False),
    sa.Column("token", sa.Integer, nullable=False),  # of who may write; grows with each claim, so that an earlier owner is known by its own
    sa.Column("floor", sa.BigInteger, nullable=False),  # operations with a smaller id are not `planned`
    sa.Column("receipts", sa.BigInteger, nullable=False),
    sa.Column("head", sa.String, nullable=False),
    sa.UniqueConstraint("destination", "object"),
)

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers rows by itself only where the type is INTEGER

OPS = _table(
    "ops",
    # In the order of arrival, so that operations sent together lie together: by op_id, each would touch a page of its own (4 times slower).
    sa.Column("id", _BIG, primary_key=True, autoincrement=True),
    sa.Column("op_id", sa.String(32), nullable=False),
    sa.Column("target", sa.Integer, nullable=False),
    sa.Column("audience", sa.String, nullable=False),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("op", sa.String, nullable=False),
    sa.Column("payload_hash", sa.String, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.String),
    sa.Column("doubt", sa.Boolean, nullable=False),  # it, or one it superseded, may have taken effect without an acknowledgement
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("not_before", sa.Float),  # Unix seconds
    sa.Column("sent_at", sa.Float),  # Unix seconds of the first attempt
    sa.Column("as_of", sa.String, nullable=False),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("version", sa.String),  # of the connector that was told no
    sa.Column("job", sa.String),
    sa.Column("instead_of", _BIG),  # the operation in doubt whose place it took
    sa.Column("receipt", sa.BigInteger),
    # Led by the person, in whose order plans are: led by op_id, each operation would touch a page of its own here as well.
    sa.UniqueConstraint("target", "audience", "person_id", "op_id"),
    _where("one_in_flight", "target", "audience", "person_id", states=IN_FLIGHT, unique=True),
    _where("ops_waiting", "target", states=WAITING),
)

COMMITTED = _table(
    "committed",
    sa.Column("target", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("audience", sa.String, primary_key=True),
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("payload_hash", sa.String),  # null: acknowledged to be gone
    sa.Column("generation", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)

RECEIPTS = _table(
    "receipts",
    sa.Column("target", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("hash", sa.String, nullable=False),
    sqlite_with_rowid=False,
)

JOBS = _table(
    "jobs",
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("target", sa.Integer, nullable=False, index=True),
    sa.Column("reference", sa.String),  # the destination's word for it; null: nobody knows whether it was handed in
    sa.Column("submitted_at", sa.Float, nullable=False),
    sa.Column("done", sa.Boolean, nullable=False),
)

LAYOUT = _table("layout", sa.Column("number", sa.Integer, primary_key=True, autoincrement=False))


class Store:
    """The operational store at an address; its tables are made by `layout`.

    Args:
        url: SQLAlchemy address.
    """

    def __init__(self, url: str) -> None:
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        sqlite = url.startswith("sqlite")
        self.engine = sa.create_engine(url, paramstyle="named") if sqlite else sa.create_engine(url)
        if sqlite:
            event.listen(self.engine, "connect", _durable)
            event.listen(self.engine, "begin", _begin)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None on a server."""
        return Path(self.engine.url.database or "") if self.engine.dialect.name == "sqlite" else None

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that writes; on SQLite it waits for its turn at once, so that it never fails halfway."""
        with self.engine.connect().execution_options(seg_writes=True) as connection, connection.begin():
            yield connection

    def rows(self, query: sa.Select | sa.CompoundSelect, schema: pa.Schema) -> pa.Table:
        """A query's rows as a table of the schema, whose columns are in the query's order."""
        parts: list[pa.Table] = []
        with self.engine.connect() as connection:
            cursor = connection.execute(query).cursor  # rows of its own are what SQLAlchemy would spend most of the time on
            while cursor and (rows := cursor.fetchmany(50_000)):
                columns = zip(*rows, strict=True)
                parts.append(pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema))
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def columns(self, query: sa.Select, schema: pa.Schema) -> pa.Table:
        """As `rows`, five times as fast: each row is a value of the first column and, for each other one, all values beside it as lines of one text.

        An empty line is a null. Every text must have its lines in the same order.
        """
        first, *others = schema
        parts: list[pa.Table] = []
        with self.engine.connect() as connection:
            for value, *texts in connection.execute(query):
                found = [_lines(text, field) for text, field in zip(texts, others, strict=True)]
                parts.append(pa.table([pa.chunked_array([pa.repeat(pa.scalar(value, first.type), len(found[0]))]), *found], schema=schema))
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def given(self, rows: Sequence[Sequence[Any]] | sa.BindParameter[str], **columns: TypeEngine[Any]) -> sa.Subquery:
        """Rows of ours, or a parameter that will be a JSON array of them, as something to select from: values in order, under the names and types given."""
        text = rows if isinstance(rows, sa.BindParameter) else sa.bindparam(None, as_json(rows), sa.Text)
        each = sa.func.json_each(text) if self.file else sa.func.json_array_elements(sa.cast(text, sa.JSON()))
        value = each.table_valued("value").c.value
        return sa.select(*(sa.cast(value.op("->>")(sa.literal_column(str(n))), t).label(c) for n, (c, t) in enumerate(columns.items()))).subquery()

    def listed(self, values: Sequence[Any] | sa.BindParameter[str], type_: TypeEngine[Any]) -> sa.Select:
        """Values of ours, or a parameter that will be a JSON array of them, for `column.in_(...)`."""
        text = values if isinstance(values, sa.BindParameter) else sa.bindparam(None, as_json(values), sa.Text)
        if self.file:
            return sa.select(sa.func.json_each(text).table_valued("value").c.value)
        return sa.select(sa.cast(sa.func.json_array_elements_text(sa.cast(text, sa.JSON())).table_valued("value").c.value, type_))

    def insert(self, table: sa.Table):  # type: ignore[no-untyped-def]
        """The dialect's own insert, which knows what to do on conflict."""
        return __import__(f"sqlalchemy.dialects.{self.engine.dialect.name}", fromlist=["insert"]).insert(table)


def _lines(text: str, field: pa.Field) -> pa.ChunkedArray:
    """The lines of a text as values."""
    return csv.read_csv(
        BytesIO(f"{text}\n".encode()),  # an empty text is one null
        csv.ReadOptions(column_names=[field.name]),
        csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
        csv.ConvertOptions(column_types={field.name: field.type}, null_values=[""], strings_can_be_null=True),
    )[0]


def _durable(connection, _record) -> None:  # type: ignore[no-untyped-def]
    """SQLite: many readers beside a writer, and a commit is on disk when it returns."""
    connection.isolation_level = None  # transactions begin where we say so
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        f"busy_timeout = {LOCK_SECONDS * 1000}",
        "cache_size = -65536",
        "wal_autocheckpoint = 10000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("seg_writes") else "BEGIN")
