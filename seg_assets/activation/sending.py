"""Batches on their way: held back by the gate, written down, sent, and what became of them written down. One lane never waits for another."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from connectors.errors import ConnectorError
from connectors.types import Context, Destination, Idempotency, ObjectDef, Operation, Outcome, Verdict
from seg_assets.activation.batching import batches, lanes
from seg_assets.activation.claim import UNTOLD, Claim, Known

Gate = Callable[[pa.Table], Mapping[str, str]]
"""Asked at the moment of sending: given rows of `outgoing`, it returns op_id to reason of those that may not be sent now. One call at a time."""
UNSENT = frozenset({"gated", "waiting", "stuck", "superseded"})
"""Words for what a delivery did not send."""


@dataclass(frozen=True)
class Delivered:
    """What became of a delivery.

    Args:
        verdicts: operations per verdict; of what was not sent: gated, waiting (the destination wants it later), stuck (somebody must decide),
            superseded (the next plan has it anew), sending (part of a job that goes on).
        reasons: how often each reason was given.
        stopped: why it stopped early, if it did.
    """

    verdicts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    stopped: str | None = None

    @property
    def sent(self) -> int:
        return sum(n for verdict, n in self.verdicts.items() if verdict not in UNSENT)


class Tally:
    """Counts what becomes of operations, from any thread."""

    def __init__(self, on_progress: Callable[[Delivered], None]) -> None:
        self._verdicts, self._reasons = Counter[str](), Counter[str]()
        self._on_progress, self._lock = on_progress, threading.Lock()
        self.stopped: str | None = None

    def add(self, verdict: str, reason: str = "", n: int = 1) -> None:
        with self._lock:
            self._verdicts[verdict] += n
            if reason:
                self._reasons[reason] += n

    def result(self) -> Delivered:
        return Delivered(dict(self._verdicts), dict(self._reasons), self.stopped)

    def report(self) -> None:
        with self._lock:
            self._on_progress(self.result())


@dataclass(frozen=True, slots=True)
class Due:
    """An operation to send: as the ledger has it, as the destination gets it, its place in the chunk, and the one in doubt whose place it takes."""

    known: Known
    operation: Operation
    place: int
    supersedes: Known | None = None


class Sender:
    """Sends operations of one claim. Its arguments are those of `deliver`; `version` is the connector's."""

    def __init__(
        self, destination: Destination, target: ObjectDef, claim: Claim, context: Context, gate: Gate | None, tally: Tally, version: str
    ) -> None:
        self._destination, self._target, self._claim, self._context = destination, target, claim, context
        self._gate, self._tally, self._version = gate, tally, version
        self._asking = threading.Lock()

    def send(self, due: Sequence[Due], rows: pa.Table) -> None:
        """Sends operations; `rows` are what `Due.place` counts in. Stops, with a word in the tally, when the destination is down."""
        split = lanes(due, _operation, self._target)
        if len(split) == 1:
            self._lane(split[0], rows)
            return
        with ThreadPoolExecutor(len(split), thread_name_prefix="delivery") as pool:
            running = [pool.submit(self._lane, lane, rows) for lane in split]
        for lane in running:
            lane.result()

    def allowed(self, batch: Sequence[Due], rows: pa.Table) -> list[Due]:
        """Those the gate lets through; the others are written down as gated."""
        if self._gate is None:
            return list(batch)
        with self._asking:
            reasons = self._gate(rows.take([one.place for one in batch]))
        held = {one.known.id: reasons[one.known.op_id] for one in batch if one.known.op_id in reasons}
        if held:
            self._claim.hold(held)
            for reason in held.values():
                self._tally.add("gated", reason)
        return [one for one in batch if one.known.id not in held]

    def record(self, batch: Sequence[Due], outcomes: Mapping[str, Outcome], job: str | None = None) -> None:
        """Writes down and counts what became of a batch."""
        answers = {one.known.id: outcomes.get(one.known.op_id, UNTOLD) for one in batch}
        op_ids = {one.known.id: one.known.op_id for one in batch}
        repeatable = self._target.idempotency is Idempotency.ABSOLUTE
        self._claim.record(answers, op_ids, repeatable=repeatable, version=self._version, job=job)
        for outcome in answers.values():
            self._tally.add(outcome.verdict.value, outcome.reason)
        self._tally.report()

    def _lane(self, lane: Sequence[Due], rows: pa.Table) -> None:
        for batch in batches(lane, _operation, self._target):
            if self._tally.stopped:
                return
            due = self.allowed(batch, rows)
            if due:
                self._deliver(due)

    def _deliver(self, batch: Sequence[Due]) -> None:
        self._claim.begin([one.known.id for one in batch], superseded(batch))
        try:
            outcomes = self._destination.deliver(self._target.name, [one.operation for one in batch], self._context)
        except ConnectorError as error:
            self._tally.stopped = str(error)
            outcomes = dict.fromkeys((one.known.op_id for one in batch), Outcome(Verdict.RETRY, error.message))
        except BaseException as error:
            self._tally.stopped = f"the connector broke: {type(error).__name__}"
            self.record(batch, dict.fromkeys((one.known.op_id for one in batch), Outcome(Verdict.IN_DOUBT, self._tally.stopped)))
            raise
        self.record(batch, outcomes)


def superseded(batch: Sequence[Due]) -> dict[int, int]:
    """Operations to the ones in doubt whose place they take."""
    return {one.known.id: one.supersedes.id for one in batch if one.supersedes}


def _operation(due: Due) -> Operation:
    return due.operation
