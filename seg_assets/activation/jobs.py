"""Jobs: many operations handed in at once, worked through by the destination in its own time, and answered later, maybe to another process.

A job's name is ours and is on the disk before the job is handed in. After a crash the destination is asked for the job of that name, so that none runs twice
and none is forgotten. As long as a job is open, nothing else is sent about its persons.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from connectors.errors import ConfigError, ConnectorError
from connectors.types import Context, Destination, Idempotency, ObjectDef, Outcome, Verdict, WorksInBulk
from seg_assets.activation.claim import UNTOLD, Claim
from seg_assets.activation.sending import Due, Tally, superseded

LONGEST_PAUSE = 30
NOT_HANDED_IN = Outcome(Verdict.RETRY, "the job was never handed in")
NO_JOBS = Outcome(Verdict.IN_DOUBT, "it was part of a job, and the destination takes no jobs any more")


class Jobs:
    """Jobs of one claim. Its arguments are those of `deliver`."""

    def __init__(self, destination: Destination, target: ObjectDef, claim: Claim, context: Context, tally: Tally, version: str) -> None:
        self._destination, self._target, self._claim, self._context = destination, target, claim, context
        self._tally, self._version = tally, version

    def takes(self, operations: int) -> bool:
        """Whether so many operations are worth a job."""
        return isinstance(self._destination, WorksInBulk) and self._target.max_job is not None and operations >= self._target.min_job

    def resume(self) -> None:
        """Finds out about jobs that an earlier delivery left open, and writes down the outcomes of those that are done."""
        for name, reference in self._claim.jobs().items():
            if not isinstance(self._destination, WorksInBulk):
                self._record(name, NO_JOBS)
            elif reference is None:
                found = self._destination.submit(self._target.name, name, [], self._context)
                if found:
                    self._claim.handed_in(name, found)
                else:
                    self._record(name, NOT_HANDED_IN)
        self.collect(0)

    def submit(self, batch: Sequence[Due]) -> None:
        """Hands operations in."""
        destination = self._destination
        if not isinstance(destination, WorksInBulk):
            raise TypeError(f"{type(destination).__name__} takes no jobs")
        text = "\n".join([str(self._claim.token), *(one.known.op_id for one in batch)])
        name = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        self._claim.begin([one.known.id for one in batch], superseded(batch), name)
        try:
            reference = destination.submit(self._target.name, name, [one.operation for one in batch], self._context)
        except ConfigError as error:  # nothing was sent
            self._tally.stopped = str(error)
            self._record(name, Outcome(Verdict.RETRY, error.message))
        except ConnectorError as error:  # whether it was handed in, the next delivery asks
            self._tally.stopped = str(error)
        else:
            self._claim.handed_in(name, reference)

    def collect(self, patience: float) -> None:
        """Asks for outcomes until every job is done, at most so many seconds. What goes on is counted as sending."""
        pauses = _pauses(patience)
        while self._open() and (pause := next(pauses, None)) is not None:
            self._context.clock.sleep(pause)

    def count_open(self) -> None:
        """Adds operations of jobs that go on to the tally."""
        for name in self._claim.jobs():
            self._tally.add("sending", "part of a job that goes on at the destination", len(self._claim.in_job(name)))

    def _open(self) -> bool:
        """Polls every job once; whether any goes on."""
        goes_on = False
        for name, reference in self._claim.jobs().items():
            if reference is not None and isinstance(self._destination, WorksInBulk):
                outcomes = self._destination.poll(self._target.name, reference, self._context)
                if outcomes is None:
                    goes_on = True
                else:
                    self._record(name, outcomes)
        return goes_on

    def _record(self, name: str, outcomes: Outcome | Mapping[str, Outcome]) -> None:
        ops = self._claim.in_job(name)
        answers = {id: outcomes if isinstance(outcomes, Outcome) else outcomes.get(op_id, UNTOLD) for id, op_id in ops.items()}
        repeatable = self._target.idempotency is Idempotency.ABSOLUTE and outcomes != NOT_HANDED_IN
        self._claim.record(answers, ops, repeatable=repeatable, version=self._version, job=name)
        for outcome in answers.values():
            self._tally.add(outcome.verdict.value, outcome.reason)
        self._tally.report()


def _pauses(patience: float) -> Iterator[float]:
    """1, 2, 4, ... seconds, at most `LONGEST_PAUSE` each and `patience` together."""
    pause = 1.0
    while patience > 0:
        yield min(pause, patience)
        patience -= pause
        pause = min(pause * 2, LONGEST_PAUSE)
