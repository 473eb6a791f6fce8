"""Delivers a plan: takes it up in the ledger, settles what is in doubt, and sends what is due.

Personal data is joined here, at the moment of sending, and goes nowhere else. A crash loses nothing and repeats nothing that may not be repeated: what was
under way is in doubt, and `doubts` says what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from connectors.errors import ConnectorError
from connectors.types import Context, Destination, ObjectDef, Operation, OpKind, Outcome, ReadsBack, RemoteRow, Verdict
from seg_assets.activation.batching import batches
from seg_assets.activation.claim import Claim, Known
from seg_assets.activation.doubts import Preference, Rules, Step, after_reading
from seg_assets.activation.jobs import Jobs
from seg_assets.activation.ledger import connector_version
from seg_assets.activation.outgoing import FIELD, OPTIONAL, outgoing
from seg_assets.activation.sending import Delivered, Due, Gate, Sender, Tally

if TYPE_CHECKING:
    from seg_assets.activation.ledger import Ledger

__all__ = ["Delivered", "Gate", "deliver", "outgoing"]
UNDECIDED = "nobody can tell whether it took effect: see `seg activate resolve`"


def deliver(
    operations: Iterator[pa.RecordBatch],
    destination: Destination,
    target: ObjectDef,
    ledger: Ledger,
    context: Context,
    *,
    gate: Gate | None = None,
    prefer: Preference = "stop",
    patience: float = 600,
    on_progress: Callable[[Delivered], None] = lambda _: None,
) -> Delivered:
    """Sends a plan's operations in batches no larger than the object takes.

    Args:
        operations: what `outgoing` yields; at most one operation per person and audience.
        destination: a configured connector.
        target: the object to deliver to.
        ledger: remembers.
        context: as_of, clock, scratch and log for the connector.
        gate: holds operations back; they are written down as gated, and the next plan has them again.
        prefer: what to do where nobody can tell whether an operation took effect.
        patience: seconds to wait for jobs; the next delivery asks again for those that go on.
        on_progress: called after each batch, by one thread at a time.

    Raises:
        BusyError: another delivery of the object is under way.
        LostClaimError: another delivery took over while this one could not reach the ledger.
    """
    tally = Tally(on_progress)
    version = connector_version(type(destination))
    with ledger.claim(context.as_of, context.clock) as claim:
        rules = Rules(target, isinstance(destination, ReadsBack), prefer, version, context.clock.now())
        sender = Sender(destination, target, claim, context, gate, tally, version)
        jobs = Jobs(destination, target, claim, context, tally, version)
        try:
            jobs.resume()
        except ConnectorError as error:
            tally.stopped = str(error)
        doubts = claim.doubtful()
        for chunk in () if tally.stopped else operations:
            rows = pa.Table.from_batches([chunk])
            due = _due(rows, claim, rules, doubts, destination, context, tally)
            if jobs.takes(len(due)):
                for part in batches(sender.allowed(due, rows), lambda one: one.operation, replace(target, max_batch=target.max_job or 1)):
                    jobs.submit(part)
            else:
                sender.send(due, rows)
            if tally.stopped:
                break
        if not tally.stopped:
            claim.finish()
        _await(jobs, patience, tally)
    return tally.result()


def _await(jobs: Jobs, patience: float, tally: Tally) -> None:
    """Waits for jobs; what goes on is counted."""
    try:
        jobs.collect(0 if tally.stopped else patience)
    except ConnectorError as error:
        tally.stopped = tally.stopped or str(error)
    jobs.count_open()


def _due(
    rows: pa.Table, claim: Claim, rules: Rules, doubts: Mapping[tuple[str, int], Known], destination: Destination, context: Context, tally: Tally
) -> list[Due]:
    """Operations of a chunk that are to be sent now. What needs no sending any more is written down."""
    plain = rows.to_pylist()
    found = [
        Due(known, _operation(row), place, doubts.get((row["audience"], row["person_id"])))
        for place, (row, known) in enumerate(zip(plain, claim.take(rows), strict=True))
    ]
    steps = [rules.step(one.known, one.supersedes, one.operation.kind.value) for one in found]
    asked = [place for place, step in enumerate(steps) if step is Step.ASK]
    for place, step in zip(asked, _read_back([found[place] for place in asked], rules.target, destination, context), strict=True):
        steps[place] = step
    _put_away(claim, tally, found, steps)
    sendable = [one for one, step in zip(found, steps, strict=True) if step is Step.SEND]
    return [one if not (old := one.supersedes) or old.id != one.known.id else Due(one.known, one.operation, one.place) for one in sendable]


def _read_back(asked: Sequence[Due], target: ObjectDef, destination: Destination, context: Context) -> list[Step]:
    """What to do with operations once the destination was asked what it holds. One that does not answer leaves them in doubt."""
    held: dict[tuple[str, str], RemoteRow] = {}
    audiences: dict[str, list[str]] = {}
    for one in asked:
        audiences.setdefault(one.operation.audience, []).append(one.operation.key)
    if isinstance(destination, ReadsBack):
        for audience, keys in audiences.items():
            try:
                held |= {(audience, row.key): row for row in destination.read_back(target.name, audience, keys, context)}
            except ConnectorError as error:
                context.log.warning("reading back failed: %s", error)
    steps = []
    for one in asked:
        row, doubt = held.get((one.operation.audience, one.operation.key)), one.supersedes
        kind, fields = one.operation.kind.value, one.operation.fields
        steps.append(Step.STOP if doubt is None else after_reading(kind, fields, row, doubt, same=doubt.id == one.known.id))
    return steps


def _put_away(claim: Claim, tally: Tally, found: Sequence[Due], steps: Sequence[Step]) -> None:
    """Writes down and counts what is not sent."""
    acked: dict[int, tuple[str, Outcome]] = {}
    replanned: dict[int, str] = {}
    withdrawn: list[int] = []
    for one, step in zip(found, steps, strict=True):
        if step is Step.ACKED:
            acked[one.known.id] = one.known.op_id, Outcome(Verdict.ACKED, "found to be so already")
            if one.supersedes and one.supersedes.id != one.known.id:
                replanned[one.supersedes.id] = one.supersedes.op_id
            tally.add("acked")
        elif step is Step.REPLAN and one.supersedes:
            acked[one.supersedes.id] = one.supersedes.op_id, Outcome(Verdict.ACKED, "found to have taken effect")
            replanned[one.known.id] = one.known.op_id
            tally.add("superseded", "an earlier operation had taken effect after all: the next plan knows")
        elif step is Step.WITHDRAW and one.supersedes:
            withdrawn.append(one.supersedes.id)
            replanned[one.known.id] = one.known.op_id
            tally.add("superseded", "an earlier removal had no effect after all: the next plan knows")
        elif step is Step.STALE:
            replanned[one.known.id] = one.known.op_id
            tally.add("superseded", "something has changed since it was planned: the next plan knows")
        elif step is Step.WAIT and one.known.state != "sending":
            tally.add("waiting", "the destination wants it later, or a job goes on there")
        elif step is Step.STOP:
            if one.supersedes and one.supersedes.state != "in_doubt":
                withdrawn.append(one.supersedes.id)
            tally.add("stuck", UNDECIDED)
    if withdrawn:
        claim.withdraw(withdrawn)
    if acked or replanned:
        answers = {id: outcome for id, (_, outcome) in acked.items()}
        op_ids = {id: op_id for id, (op_id, _) in acked.items()} | replanned
        claim.record(answers, op_ids, repeatable=False, unsent=list(replanned))


def _operation(row: Mapping[str, Any]) -> Operation:
    kind = OpKind(row["op"])
    fields = {n.removeprefix(FIELD): _plain(v) for n, v in row.items() if n.startswith(FIELD)}
    fields |= {n.removeprefix(OPTIONAL): _plain(v) for n, v in row.items() if n.startswith(OPTIONAL) and v is not None}
    if row.get("leave") == "clear":
        fields = {n.removeprefix(FIELD).removeprefix(OPTIONAL): None for n in row if n.startswith((FIELD, OPTIONAL))}
    return Operation(row["op_id"], kind, row["audience"], row["key"] or "", {} if kind is OpKind.REMOVE else fields)


def _plain(value: Any) -> Any:
    """JSON-serialisable: instants as ISO 8601, exact amounts as floats."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | float | bool) else float(value) if hasattr(value, "as_tuple") else str(value)
