"""What the one delivery that owns an object writes: each operation's way from planned to its outcome.

    planned -> gated -> sending -> acked | rejected | retry_wait | in_doubt        and, unsent: superseded (a later one took its place), expired (not wanted)

`sending` is on the disk before a connection is opened. `committed` moves in the transaction of the acknowledgement that moves it, and by nothing else. Every
transaction makes sure that the claim still holds. Which operations are to be sent is decided in `doubts` and `deliver`.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from connectors.types import Clock, Outcome, Verdict
from seg_assets.activation import receipts
from seg_assets.activation.lease import LostClaimError, next_token, sole_owner
from seg_assets.activation.statements import COLUMNS, KNOWN, Statements
from seg_assets.activation.store import COMMITTED, IN_FLIGHT, JOBS, OPS, TARGETS, WAITING, Store, as_json, in_states

UNANSWERED = "sent, and no answer was written down"
TURNED_OUT = "what it was planned upon turned out otherwise"
UNTOLD = Outcome(Verdict.IN_DOUBT, "the destination did not say what became of it")
STATES = {Verdict.ACKED: "acked", Verdict.REJECTED: "rejected", Verdict.RETRY: "retry_wait", Verdict.IN_DOUBT: "in_doubt"}


class Known(NamedTuple):
    """An operation as the ledger has it. `sent_at` and `not_before` are Unix seconds; `doubt`: it may have taken effect, unacknowledged."""

    id: int
    op_id: str
    op: str
    state: str
    doubt: bool
    sent_at: float | None
    not_before: float | None
    job: str | None
    version: str | None
    generation: int
    held: bool = False
    """Whether the destination acknowledged to hold the person."""
    held_generation: int = 0


class Claim:
    """An object of a destination, owned. Safe to share among the threads of one delivery.

    Args:
        store: where the ledger is.
        target: id of the object's row in `targets`.
        token: grows with each owner.
        as_of: instant of the delivery.
        clock: the time written on receipts.
    """

    def __init__(self, store: Store, target: int, token: int, as_of: datetime, clock: Clock) -> None:
        self._store, self._target, self.token = store, target, token
        self._as_of, self._clock = as_of.isoformat(), clock
        self._lock = threading.Lock()
        self._statements = Statements(store, target)

    def recover(self) -> None:
        """What an owner before us had sent without writing down the answer is in doubt. Jobs that were handed in go on."""
        running = sa.select(JOBS.c.name).where(JOBS.c.target == self._target, JOBS.c.reference.is_not(None), ~JOBS.c.done)
        dead = in_flight(self._target) & (OPS.c.state == "sending") & (OPS.c.job.is_(None) | OPS.c.job.not_in(running))
        with self._writing() as (connection, _):
            connection.execute(sa.update(OPS).where(dead).values(state="in_doubt", reason=UNANSWERED, doubt=OPS.c.doubt | OPS.c.job.is_(None)))

    def doubtful(self) -> dict[tuple[str, int], Known]:
        """By audience and person: operations that may have taken effect although nobody acknowledged it."""
        query = unsettled(self._target, OPS.c.audience, OPS.c.person_id, *(OPS.c[name] for name in KNOWN))
        with self._store.engine.connect() as connection:
            return {(audience, person): Known(*rest) for audience, person, *rest in connection.execute(query)}

    def take(self, rows: pa.RecordBatch | pa.Table) -> list[Known]:
        """Writes down what is planned and not known yet; returns what is known of each row, in their order."""
        values = list(zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True))
        given = as_json(values)
        with self._writing() as (connection, _):
            new = self._statements.planned(connection, rows=given, now_as_of=self._as_of, now_token=self.token).rowcount
            cursor = self._statements.known(connection, rows=given).cursor
            found = {known.op_id: known for known in map(Known._make, cursor.fetchall() if cursor else ())}
            if new < len(found):
                self._take_again(connection, found.values())
        return [found[row[0]] for row in values]

    def _take_again(self, connection: sa.Connection, known: Iterable[Known]) -> None:
        """Makes earlier owners' operations ours; those that were put away are planned again."""
        again = [one.id for one in known if one.state in {"superseded", "expired"}]
        if again:
            connection.execute(sa.update(OPS).where(self._among(again)).values(state="planned", reason=None, token=self.token))
            connection.execute(sa.update(TARGETS).where(TARGETS.c.id == self._target, TARGETS.c.floor > min(again)).values(floor=min(again)))
        earlier = self._among([one.id for one in known]) & (OPS.c.token < self.token)
        connection.execute(sa.update(OPS).where(earlier).values(token=self.token))

    def hold(self, reasons: Mapping[int, str]) -> None:
        """Operations that may not be sent now, by id, with the reason. Those in doubt stay in doubt."""
        by_reason: dict[str, list[int]] = defaultdict(list)
        for id, reason in reasons.items():
            by_reason[reason].append(id)
        with self._writing() as (connection, _):
            for reason, ids in by_reason.items():
                held = self._among(ids) & OPS.c.state.not_in(IN_FLIGHT)
                connection.execute(sa.update(OPS).where(held).values(state="gated", reason=reason, as_of=self._as_of))

    def begin(self, ids: Sequence[int], superseded: Mapping[int, int], job: str | None = None) -> None:
        """Operations are about to be sent. Committed when this returns; until `record` says more they are in doubt.

        Args:
            ids: of the operations.
            superseded: id of an operation among them to the id of the one in doubt whose place it takes; it inherits the doubt.
            job: name of the job they are part of.
        """
        now = self._clock.now()
        with self._writing() as (connection, _):
            if superseded:
                self._supersede(connection, superseded.values(), "a later operation took its place")
                pairs = self._store.given(list(superseded.items()), new=sa.BigInteger(), old=sa.BigInteger())
                connection.execute(sa.update(OPS).where(OPS.c.id == pairs.c.new).values(doubt=True, instead_of=pairs.c.old))
            if job:
                connection.execute(sa.insert(JOBS).values(name=job, target=self._target, submitted_at=now, done=False))
            self._statements.sending(connection, ids=as_json(ids), now_as_of=self._as_of, now_job=job, now=now)

    def record(
        self,
        answers: Mapping[int, Outcome],
        op_ids: Mapping[int, str],
        *,
        repeatable: bool,
        version: str = "",
        job: str | None = None,
        decided: bool = False,
        unsent: Sequence[int] = (),
    ) -> None:
        """What became of operations; acknowledged ones move `committed` in the same transaction.

        Args:
            answers: outcomes by id.
            op_ids: what the operations are called on the receipt, by id.
            repeatable: whether one that is to be retried may have taken effect.
            version: of the connector, kept with what is rejected.
            job: name of the job that is done with this.
            decided: whether it is certain: what was not acknowledged had no effect.
            unsent: operations that will not be sent after all, because of these answers.
        """
        groups = _alike(answers)
        content: dict[str, dict[str, list[str]]] = defaultdict(dict)
        for answer, ids in groups.items():
            content[STATES[answer.verdict]].setdefault(answer.reason, []).extend(op_ids[id] for id in ids)
        if unsent:
            content["superseded"][TURNED_OUT] = [op_ids[id] for id in unsent]
        at = datetime.fromtimestamp(self._clock.now(), UTC).isoformat()
        with self._writing() as (connection, before):
            receipt = receipts.append(connection, self._statements, before, self.token, at, content)
            for answer, ids in groups.items():
                if answer.verdict is Verdict.ACKED:
                    self._commit(connection, ids, answer.reason, receipt)
                    continue
                told = {"state": STATES[answer.verdict], "reason": answer.reason or None, "receipt": receipt}
                told |= {"doubt": False} if decided else _doubt(answer.verdict, repeatable)
                told |= {"not_before": answer.not_before.timestamp()} if answer.not_before else {}
                told |= {"version": version} if answer.verdict is Verdict.REJECTED else {}
                connection.execute(sa.update(OPS).where(self._among(ids)).values(**told))
                if decided:
                    self._reopen(connection, ids)
            if unsent:
                self._supersede(connection, unsent, TURNED_OUT)
            if job:
                connection.execute(sa.update(JOBS).where(JOBS.c.name == job).values(done=True))

    def jobs(self) -> dict[str, str | None]:
        """Jobs that are not done: name to the destination's word for it (None: nobody knows whether it was handed in)."""
        open_ = sa.select(JOBS.c.name, JOBS.c.reference).where(JOBS.c.target == self._target, ~JOBS.c.done).order_by(JOBS.c.submitted_at, JOBS.c.name)
        with self._store.engine.connect() as connection:
            return dict(connection.execute(open_).all())

    def in_job(self, name: str) -> dict[int, str]:
        """Operations of a job that are not answered: op_id by id."""
        query = sa.select(OPS.c.id, OPS.c.op_id).where(in_flight(self._target), OPS.c.job == name)
        with self._store.engine.connect() as connection:
            return dict(connection.execute(query).all())

    def handed_in(self, name: str, reference: str) -> None:
        """The destination has the job; it goes on there, whatever happens here."""
        with self._writing() as (connection, _):
            connection.execute(sa.update(JOBS).where(JOBS.c.name == name).values(reference=reference))
            connection.execute(sa.update(OPS).where(in_flight(self._target), OPS.c.job == name).values(state="sending"))

    def withdraw(self, ids: Iterable[int]) -> None:
        """Operations that had no effect and will not be sent again: the doubts whose place they took are open again."""
        with self._writing() as (connection, _):
            self._supersede(connection, ids, "it had no effect, and is no longer planned")
            self._reopen(connection, ids)

    def finish(self) -> None:
        """After a whole plan: what an earlier one wanted and this one does not is put away."""
        older = (OPS.c.token < self.token) & ~OPS.c.doubt
        floor = sa.select(TARGETS.c.floor).where(TARGETS.c.id == self._target).scalar_subquery()
        later = sa.alias(OPS)
        same = sa.and_(*(later.c[name] == OPS.c[name] for name in ("target", "audience", "person_id")))
        planned = (OPS.c.target == self._target) & (OPS.c.state == "planned") & (OPS.c.id >= floor)
        newer = COMMITTED.c.generation >= OPS.c.generation
        replaced = sa.exists().where(*(COMMITTED.c[n] == OPS.c[n] for n in ("target", "audience", "person_id")), newer)
        replaced |= sa.exists().where(same, later.c.generation > OPS.c.generation, later.c.state.in_([*IN_FLIGHT, *WAITING]))
        put_away = {"state": sa.case((replaced, "superseded"), else_="expired"), "reason": "no longer planned"}
        with self._writing() as (connection, _):
            for unsent in (planned, waiting(self._target) & (OPS.c.state != "rejected")):
                connection.execute(sa.update(OPS).where(unsent, older).values(**put_away))
            first = sa.select(sa.func.min(OPS.c.id)).where(planned).scalar_subquery()
            top = sa.select(sa.func.coalesce(sa.func.max(OPS.c.id), 0) + 1).scalar_subquery()
            connection.execute(sa.update(TARGETS).where(TARGETS.c.id == self._target).values(floor=sa.func.coalesce(first, top)))

    @contextmanager
    def _writing(self) -> Iterator[tuple[sa.Connection, tuple[int, str]]]:
        """A transaction of ours, and number and hash of the last receipt. Threads take turns, as they would at the database.

        Raises:
            LostClaimError: somebody else has taken over.
        """
        with self._lock, self._store.write() as connection:
            owner = self._statements.owner(connection).one()
            if owner.token != self.token:
                raise LostClaimError("another delivery has taken over", hint="its outcome counts; see `seg activate status`")
            yield connection, (owner.receipts, owner.head)

    def _commit(self, connection: sa.Connection, ids: Sequence[int], reason: str, receipt: int) -> None:
        given = as_json(ids)
        self._statements.acked(connection, ids=given, why=reason or None, number=receipt)
        self._statements.commit(connection, ids=given)

    def _reopen(self, connection: sa.Connection, ids: Iterable[int]) -> None:
        """The doubts whose place operations took. These must be under way no more."""
        newer = sa.alias(OPS)
        before = sa.select(newer.c.instead_of).where(newer.c.id.in_(self._store.listed(list(ids), sa.BigInteger())))
        again = OPS.c.id.in_(before) & (OPS.c.state == "superseded")
        connection.execute(sa.update(OPS).where(again).values(state="in_doubt", reason=UNANSWERED, doubt=True))
        connection.execute(sa.update(OPS).where(self._among(ids)).values(instead_of=None))

    def _supersede(self, connection: sa.Connection, ids: Iterable[int], reason: str) -> None:
        connection.execute(sa.update(OPS).where(self._among(ids)).values(state="superseded", reason=reason, doubt=False))

    def _among(self, ids: Iterable[int]) -> sa.ColumnElement[bool]:
        return OPS.c.id.in_(self._store.listed(list(ids), sa.BigInteger()))


@contextmanager
def claimed(store: Store, destination: str, object: str, as_of: datetime, clock: Clock, patience: float) -> Iterator[Claim]:
    """Owns an object of a destination while the block runs.

    Raises:
        BusyError: another delivery owns it.
    """
    with sole_owner(store, destination, object, patience):
        claim = Claim(store, *next_token(store, destination, object), as_of, clock)
        claim.recover()
        yield claim


def in_flight(target: Any) -> sa.ColumnElement[bool]:
    """Operations being sent or in doubt. `target`: id, or a query of it. The states are written out, or SQLite would not use its index."""
    return (OPS.c.target == target) & sa.text(in_states(IN_FLIGHT))


def waiting(target: Any) -> sa.ColumnElement[bool]:
    """Operations held back, to be sent again, or rejected."""
    return (OPS.c.target == target) & sa.text(in_states(WAITING))


def unsettled(target: Any, *columns: sa.ColumnElement[Any]) -> sa.CompoundSelect:
    """Operations that may have taken effect although nobody acknowledged it; at most one per audience and person."""
    return sa.union_all(sa.select(*columns).where(in_flight(target)), sa.select(*columns).where(waiting(target), OPS.c.doubt))


def _alike(answers: Mapping[int, Outcome]) -> dict[Outcome, list[int]]:
    """Ids by outcome. Most operations of a batch share one object, which is much faster to tell than to compare."""
    objects = {id(answer): answer for answer in answers.values()}
    same: dict[int, list[int]] = defaultdict(list)
    for key, answer in answers.items():
        same[id(answer)].append(key)
    groups: dict[Outcome, list[int]] = defaultdict(list)
    for object_id, keys in same.items():
        groups[objects[object_id]].extend(keys)
    return groups


def _doubt(verdict: Verdict, repeatable: bool) -> dict[str, bool]:
    """What an answer that is no acknowledgement does to the doubt: a refusal leaves an earlier one as it is."""
    return {"doubt": True} if verdict is Verdict.IN_DOUBT or (verdict is Verdict.RETRY and repeatable) else {}
