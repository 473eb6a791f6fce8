"""The ledger: what each destination acknowledged to hold, and the state of every operation. Holds ids and hashes only.

Here it is read, and people decide what no rule can. Deliveries write through `claim`; where it is kept is in `store`.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from connectors.types import Clock, Outcome, SystemClock, Verdict
from seg_assets.activation import receipts
from seg_assets.activation.claim import Claim, claimed, in_flight, unsettled, waiting
from seg_assets.activation.layout import lay_out
from seg_assets.activation.store import COMMITTED, OPS, TARGETS, Store

COMMITTED_SCHEMA = pa.schema([("audience", pa.string()), ("person_id", pa.int64()), ("payload_hash", pa.string()), ("generation", pa.int64())])
OPS_SCHEMA = pa.schema(
    [("op_id", pa.string()), ("op", pa.string()), ("audience", pa.string()), ("person_id", pa.int64()), ("state", pa.string()),
     ("reason", pa.string()), ("as_of", pa.string()), ("attempts", pa.int64()), ("not_before", pa.float64())]
)  # fmt: skip
UNSETTLED_SCHEMA = pa.schema([("audience", pa.string()), ("person_id", pa.int64()), ("op", pa.string()), ("payload_hash", pa.string()),
                              ("generation", pa.int64())])  # fmt: skip
REJECTED_SCHEMA = pa.schema([("op_id", pa.string())])


class Ledger:
    """Operations and acknowledgements of one destination object.

    Args:
        url: SQLAlchemy address of the operational store.
        destination, object: whose operations these are.

    Raises:
        DeliveryError: the store was made by a version too old, or by a later one.
    """

    def __init__(self, url: str, destination: str, object: str) -> None:
        self._store = Store(url)
        lay_out(self._store)
        self.destination, self.object = destination, object
        mine = (TARGETS.c.destination == destination) & (TARGETS.c.object == object)
        self._target: Any = sa.select(TARGETS.c.id).where(mine).scalar_subquery()

    def committed(self) -> pa.Table:
        """What the destination acknowledged to hold: audience, person_id, payload_hash (null: removed), generation."""
        values = [
            sa.cast(COMMITTED.c.person_id, sa.String),
            sa.func.coalesce(COMMITTED.c.payload_hash, ""),
            sa.cast(COMMITTED.c.generation, sa.String),
        ]
        query = sa.select(COMMITTED.c.audience, *(sa.func.aggregate_strings(v, "\n") for v in values)).where(COMMITTED.c.target == self._target)
        return self._store.columns(query.group_by(COMMITTED.c.audience).order_by(COMMITTED.c.audience), COMMITTED_SCHEMA)

    def operations(self) -> pa.Table:
        """Every operation ever taken up, with its state: planned, gated, sending, acked, rejected, retry_wait, in_doubt, superseded or expired.

        Returns:
            op_id, op, audience, person_id, state, reason, as_of (of the last attempt), attempts, not_before (Unix seconds).
        """
        return self._store.rows(_columns(OPS, OPS_SCHEMA).where(OPS.c.target == self._target), OPS_SCHEMA)

    def unsettled(self) -> pa.Table:
        """Operations that the destination may or may not have applied; at most one per person and audience."""
        return self._store.rows(unsettled(self._target, *(OPS.c[n] for n in UNSETTLED_SCHEMA.names)), UNSETTLED_SCHEMA)

    def rejected(self, version: str = "") -> pa.Table:
        """op_id of what this version of the connector was refused for good, see `connector_version`: sending it again is useless."""
        refused = waiting(self._target) & (OPS.c.state == "rejected") & (OPS.c.version == version)
        return self._store.rows(sa.select(OPS.c.op_id).where(refused), REJECTED_SCHEMA)

    def states(self) -> dict[str, int]:
        """How many operations are in each state; those that were never needed in the end (superseded, expired) aside."""
        query = sa.select(OPS.c.state, sa.func.count()).where(OPS.c.target == self._target).group_by(OPS.c.state)
        with self._store.engine.connect() as connection:
            return {state: n for state, n in connection.execute(query) if state not in {"superseded", "expired"}}

    def receipts(self) -> pa.Table:
        """What each answer said: seq, at, op_id, state, reason."""
        return receipts.read(self._store, self._id())

    def first_fault(self) -> int | None:
        """Number of the first receipt that is not as it was written; None: all are."""
        return receipts.first_fault(self._store, self._id())

    def claim(self, as_of: datetime, clock: Clock | None = None, patience: float = 5) -> AbstractContextManager[Claim]:
        """Owns the object while the block runs; only the owner may write. Waits for it at most `patience` seconds.

        Raises:
            BusyError: a delivery is under way.
        """
        return claimed(self._store, self.destination, self.object, as_of, clock or SystemClock(), patience)

    def settle(self, applied: Mapping[str, bool], as_of: datetime, clock: Clock | None = None) -> int:
        """Somebody found out, or decided, whether operations in doubt took effect; returns how many were in doubt.

        Args:
            applied: op_id to whether it did. What did not is sent again if it is still wanted.
            as_of: instant of the decision.
            clock: for the receipt.
        """
        answers = {True: Outcome(Verdict.ACKED, "decided: it took effect"), False: Outcome(Verdict.RETRY, "decided: it took no effect")}
        ids = sa.select(OPS.c.id, OPS.c.op_id).where(in_flight(self._target), OPS.c.state == "in_doubt")
        with self.claim(as_of, clock) as claim:
            with self._store.engine.connect() as connection:
                found = {id: op_id for id, op_id in connection.execute(ids) if op_id in applied}
            if found:
                claim.record({id: answers[applied[op_id]] for id, op_id in found.items()}, found, repeatable=False, decided=True)
        return len(found)

    def reopen(self, as_of: datetime, op_ids: Sequence[str] | None = None, clock: Clock | None = None) -> int:
        """Rejected operations, all or those named, are sent again with the next plan that wants them; returns how many."""
        refused = waiting(self._target) & (OPS.c.state == "rejected") & OPS.c.version.is_not(None)
        if op_ids is not None:
            refused &= OPS.c.op_id.in_(self._store.listed(op_ids, sa.String()))
        with self.claim(as_of, clock), self._store.write() as connection:
            return connection.execute(sa.update(OPS).where(refused).values(version=None, not_before=None)).rowcount

    def _id(self) -> int:
        with self._store.engine.connect() as connection:
            return connection.scalar(sa.select(self._target)) or 0


def connector_version(connector: type) -> str:
    """Changes whenever the connector's code or data does: a hash of its file, or of its package's folder; "" for one that has no file."""
    try:
        file = Path(inspect.getfile(connector))
    except (OSError, TypeError):
        return ""
    package = (file.parent / "__init__.py").exists()
    files = sorted(f for f in file.parent.iterdir() if f.suffix in {".py", ".yaml"}) if package else [file]
    return hashlib.blake2b(b"\x1f".join(f.read_bytes() for f in files), digest_size=8).hexdigest()


def _columns(table: sa.Table, schema: pa.Schema) -> sa.Select:
    return sa.select(*(table.c[name] for name in schema.names))
