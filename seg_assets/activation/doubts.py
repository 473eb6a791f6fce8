"""What is done about operations in doubt: sent, but nobody knows whether they took effect. Decided by what repeating one does at the destination.

Class A and B are sent again, B within the time the destination remembers ids. C is read back first. D stops until somebody decides, unless the project
prefers losing or doubling. A removal that was not sent before goes ahead of a doubt: who must leave leaves. Decides only; `deliver` acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

from connectors.types import Idempotency, ObjectDef, RemoteRow
from seg_assets.activation.claim import Known

Preference = Literal["stop", "loss", "duplicate"]
"""What to do about doubts that nobody can settle: leave them to people, take them for applied, or send again."""


class Step(Enum):
    """What to do with a planned operation."""

    SEND = auto()
    """Send it."""
    ASK = auto()
    """Read back what the destination holds, then see `after_reading`."""
    ACKED = auto()
    """It is as it should be; nothing to send."""
    REPLAN = auto()
    """The earlier operation in doubt took effect, and this one was planned for the case that it had not: the next plan has what is right."""
    STALE = auto()
    """It was planned upon something that has changed since: the next plan has what is right."""
    WITHDRAW = auto()
    """The earlier removal in doubt had no effect, so what it was to remove is in doubt again: the next plan has what is right."""
    WAIT = auto()
    """The destination wants it later, or is still at work on a job that has to do with it."""
    STOP = auto()
    """Nobody can tell; somebody must decide."""
    DONE = auto()
    """Acknowledged or rejected before."""


@dataclass(frozen=True)
class Rules:
    """How doubts at an object are settled.

    Args:
        target: the object.
        reads_back: whether the destination tells what it holds.
        prefer: where nobody can tell.
        version: of the connector.
        now: Unix seconds.
    """

    target: ObjectDef
    reads_back: bool
    prefer: Preference
    version: str
    now: float

    def step(self, known: Known, doubt: Known | None, op: str) -> Step:
        """What to do with a planned operation.

        Args:
            known: the operation as the ledger has it.
            doubt: the doubtful operation of the same person and audience, if there is one; it may be the same.
            op: add, update or remove.
        """
        if known.state == "acked" or (known.state == "rejected" and known.version == self.version):
            return Step.DONE
        fits = {"add": not known.held, "update": known.held, "remove": known.held or doubt is not None}
        if known.held_generation >= known.generation or not fits[op]:
            return Step.STALE
        if known.state == "retry_wait" and known.not_before is not None and known.not_before > self.now:
            return Step.WAIT
        if doubt is None:
            return Step.SEND
        if doubt.state == "sending":
            return Step.WAIT  # its job goes on
        kind = self._class(doubt)
        if kind.may_repeat:
            return Step.SEND
        if kind is Idempotency.READ_BACK:
            return Step.ASK
        if self.prefer == "duplicate" or (op == "remove" and (doubt.id != known.id or known.state != "in_doubt")):
            return Step.SEND
        if self.prefer == "loss":
            return Step.ACKED if doubt.id == known.id else Step.REPLAN
        return Step.STOP

    def _class(self, doubt: Known) -> Idempotency:
        kind = self.target.idempotency
        window = self.target.remembers
        if kind is Idempotency.DEDUPLICATED and window is not None and self.now - (doubt.sent_at or 0) > window.total_seconds():
            kind = Idempotency.READ_BACK
        return Idempotency.APPEND if kind is Idempotency.READ_BACK and not self.reads_back else kind


def after_reading(op: str, fields: Mapping[str, Any], found: RemoteRow | None, doubt: Known, *, same: bool) -> Step:
    """What to do with an operation once the destination was asked.

    Args:
        op: add, update or remove.
        fields: what it would write.
        found: what the destination said of the person; None: nothing.
        doubt: the operation in doubt.
        same: whether that is this operation itself, and not an earlier one.
    """
    if found is None:
        return Step.STOP
    if op == "remove":
        return Step.SEND if found.present else Step.ACKED
    if not same:
        if found.present == (op == "update"):
            return Step.SEND
        if found.present != (doubt.op == "remove"):
            return Step.REPLAN
        return Step.WITHDRAW if doubt.op == "remove" else Step.STOP
    if op == "add" or not found.present:
        return Step.ACKED if found.present else Step.SEND
    told = [name for name in fields if name in found.fields]
    if len(told) < len(fields):
        return Step.STOP
    return Step.ACKED if all(found.fields[name] == fields[name] for name in told) else Step.SEND
