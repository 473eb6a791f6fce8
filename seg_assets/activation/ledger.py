"""The ledger: what each destination acknowledged to hold, and the state of every operation. SQLite by default, Postgres by URL.

Holds ids and hashes only. `committed` moves in the same transaction as the acknowledgement that moves it, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import event

from connectors.types import Outcome, Verdict

METADATA = sa.MetaData()

OPS = sa.Table(
    "ops",
    METADATA,
    sa.Column("op_id", sa.String(32), primary_key=True),
    sa.Column("destination", sa.String, nullable=False),
    sa.Column("object", sa.String, nullable=False),
    sa.Column("audience", sa.String, nullable=False),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("op", sa.String, nullable=False),
    sa.Column("payload_hash", sa.String, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.String),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("as_of", sa.String, nullable=False),
    sa.Index("ops_by_destination", "destination", "object"),
)

COMMITTED = sa.Table(
    "committed",
    METADATA,
    sa.Column("destination", sa.String, primary_key=True),
    sa.Column("object", sa.String, primary_key=True),
    sa.Column("audience", sa.String, primary_key=True),
    sa.Column("person_id", sa.BigInteger, primary_key=True),
    sa.Column("payload_hash", sa.String),  # null: acknowledged to be gone
    sa.Column("generation", sa.Integer, nullable=False),
)

COMMITTED_SCHEMA = pa.schema([("audience", pa.string()), ("person_id", pa.int64()), ("payload_hash", pa.string()), ("generation", pa.int64())])
OPS_SCHEMA = pa.schema(
    [("op_id", pa.string()), ("op", pa.string()), ("audience", pa.string()), ("person_id", pa.int64()), ("state", pa.string()),
     ("reason", pa.string()), ("as_of", pa.string())]
)  # fmt: skip

UNSETTLED_SCHEMA = pa.schema([("audience", pa.string()), ("person_id", pa.int64()), ("op", pa.string()), ("payload_hash", pa.string()),
                              ("generation", pa.int64())])  # fmt: skip

OPEN = (Verdict.IN_DOUBT, Verdict.RETRY)
"""Answers after which an operation may have been applied: one to be retried may have been in doubt before."""
SUPERSEDED = "superseded"
GATED = "gated"
UNANSWERED = Outcome(Verdict.IN_DOUBT, "no answer was written down")
"""What is true of an operation from before it is sent until its outcome is recorded, crash or no crash."""


class Ledger:
    """Operations and acknowledgements of one destination object.

    Args:
        url: SQLAlchemy address of the operational store.
        destination, object: whose operations these are.
    """

    def __init__(self, url: str, destination: str, object: str) -> None:
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _durable)
        self.destination, self.object = destination, object
        METADATA.create_all(self._engine)

    def committed(self) -> pa.Table:
        """What the destination acknowledged to hold: audience, person_id, payload_hash (null: removed), generation."""
        query = sa.select(*(COMMITTED.c[n] for n in COMMITTED_SCHEMA.names)).where(self._mine(COMMITTED))
        return self._rows(query, COMMITTED_SCHEMA)

    def operations(self) -> pa.Table:
        """Every operation ever begun, with its state: acked, rejected, retry, in_doubt, or superseded: a later one for the same person was acked."""
        ops = self._ops()
        return self._rows(sa.select(*(ops.c[n] for n in OPS_SCHEMA.names)), OPS_SCHEMA)

    def unsettled(self) -> pa.Table:
        """The newest operation of each person and audience that the destination may or may not have applied."""
        ops = self._ops()
        newest = sa.func.row_number().over(partition_by=(ops.c.audience, ops.c.person_id), order_by=ops.c.generation.desc())
        ranked = sa.select(ops, newest.label("rank")).where(ops.c.state.in_([v.value for v in OPEN])).subquery()
        return self._rows(sa.select(*(ranked.c[n] for n in UNSETTLED_SCHEMA.names)).where(ranked.c.rank == 1), UNSETTLED_SCHEMA)

    def begin(self, operations: Sequence[Mapping[str, object]], as_of: datetime) -> None:
        """Writes down that a batch is about to be sent, before the socket opens. Until `record` says more its operations are in doubt.

        Args:
            operations: rows with op_id, audience, person_id, op, payload_hash, generation.
            as_of: instant of the delivery.
        """
        rows = [
            {**o, "destination": self.destination, "object": self.object, **_answer(UNANSWERED), "attempts": 1, "as_of": as_of.isoformat()}
            for o in operations
        ]
        self._write(rows)

    def hold(self, operations: Sequence[Mapping[str, object]], as_of: datetime) -> None:
        """Writes down that operations may not be sent now, each with its `reason`. Those in doubt stay in doubt."""
        mine = {"destination": self.destination, "object": self.object, "state": GATED, "attempts": 0, "as_of": as_of.isoformat()}
        with self._engine.begin() as connection:
            ids = [o["op_id"] for o in operations]
            open_ = set(connection.scalars(sa.select(OPS.c.op_id).where(OPS.c.op_id.in_(ids), OPS.c.state.in_([v.value for v in OPEN]))))
            held = [{**o, **mine} for o in operations if o["op_id"] not in open_]
            if held:
                insert = _insert(connection, OPS)
                moved = {name: insert.excluded[name] for name in ("state", "reason", "as_of")}
                connection.execute(insert.on_conflict_do_update(index_elements=["op_id"], set_=moved), held)

    def _write(self, rows: Sequence[Mapping[str, object]]) -> None:
        with self._engine.begin() as connection:
            ids = [o["op_id"] for o in rows]
            known = set(connection.scalars(sa.select(OPS.c.op_id).where(OPS.c.op_id.in_(ids))))
            if known:
                again = sa.update(OPS).where(OPS.c.op_id.in_(known))
                connection.execute(again.values(**_answer(UNANSWERED), attempts=OPS.c.attempts + 1, as_of=rows[0]["as_of"]))
            new = [r for r in rows if r["op_id"] not in known]
            if new:
                connection.execute(sa.insert(OPS), new)

    def record(self, operations: Sequence[Mapping[str, object]], outcomes: Mapping[str, Outcome]) -> None:
        """Writes down what became of a batch; acknowledged operations move `committed` in the same transaction.

        An operation without an outcome is in doubt.
        """
        unknown = Outcome(Verdict.IN_DOUBT, "the destination did not say what became of it")
        answered = [(o, outcomes.get(str(o["op_id"]), unknown)) for o in operations]
        with self._engine.begin() as connection:
            update = sa.update(OPS).where(OPS.c.op_id == sa.bindparam("id")).values(state=sa.bindparam("s"), reason=sa.bindparam("r"))
            connection.execute(update, [{"id": o["op_id"], "s": out.verdict.value, "r": out.reason or None} for o, out in answered])
            self._move(connection, [o for o, out in answered if out.verdict is Verdict.ACKED])

    def states(self) -> dict[str, int]:
        """How many operations are in each state, superseded ones aside."""
        ops = self._ops()
        query = sa.select(ops.c.state, sa.func.count()).where(ops.c.state != SUPERSEDED).group_by(ops.c.state)
        with self._engine.connect() as connection:
            return dict(connection.execute(query).all())

    def _move(self, connection: sa.Connection, acked: Iterable[Mapping[str, object]]) -> None:
        rows = [
            {
                "destination": self.destination,
                "object": self.object,
                "audience": o["audience"],
                "person_id": o["person_id"],
                "payload_hash": None if o["op"] == "remove" else o["payload_hash"],
                "generation": o["generation"],
            }
            for o in acked
        ]
        if not rows:
            return
        insert = _insert(connection, COMMITTED)
        keys = ["destination", "object", "audience", "person_id"]
        moved = {name: insert.excluded[name] for name in ("payload_hash", "generation")}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=moved), rows)

    def _ops(self) -> sa.Subquery:
        """This object's operations; open ones that no longer matter are superseded."""
        same = [COMMITTED.c[n] == OPS.c[n] for n in ("destination", "object", "audience", "person_id")]
        later = OPS.c.state.in_([v.value for v in OPEN]) & (COMMITTED.c.generation > OPS.c.generation)
        state = sa.case((later, SUPERSEDED), else_=OPS.c.state).label("state")
        columns = [c for c in OPS.c if c.name != "state"]
        return sa.select(*columns, state).select_from(OPS.outerjoin(COMMITTED, sa.and_(*same))).where(self._mine(OPS)).subquery()

    def _mine(self, table: sa.Table) -> sa.ColumnElement[bool]:
        return (table.c.destination == self.destination) & (table.c.object == self.object)

    def _rows(self, query: sa.Select, schema: pa.Schema) -> pa.Table:
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        columns = list(zip(*rows, strict=True)) or [()] * len(schema)
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _answer(outcome: Outcome) -> dict[str, str | None]:
    return {"state": outcome.verdict.value, "reason": outcome.reason or None}


def _insert(connection: sa.Connection, table: sa.Table):  # type: ignore[no-untyped-def]
    """The dialect's own insert, which knows what to do on conflict."""
    return __import__(f"sqlalchemy.dialects.{connection.dialect.name}", fromlist=["insert"]).insert(table)


def _durable(connection, _record) -> None:  # type: ignore[no-untyped-def]
    """SQLite: many readers beside a writer, and a commit is on disk when it returns."""
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 30000"):
        connection.execute(f"PRAGMA {pragma}")
