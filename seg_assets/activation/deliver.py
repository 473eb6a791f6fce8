"""Sends a plan: batch by batch, each written down before it is sent and after it is answered.

Personal data is joined here, at the moment of sending, and goes nowhere else. After a crash the next plan holds the unanswered operations again, with the
same ids: destinations that know an id ignore the repetition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir
import pyarrow as pa

from connectors.errors import ConnectorError
from connectors.types import Context, Destination, ObjectDef, Operation, OpKind, Outcome, Verdict

if TYPE_CHECKING:
    from seg_assets.activation.ledger import Ledger

Gate = Callable[[pa.Table], Mapping[str, str]]
"""Asked at the moment of sending: given rows of `outgoing`, it returns op_id to reason of those that may not be sent now."""

GATED = "gated"
LEDGER_COLUMNS = ("op_id", "op", "audience", "person_id", "payload_hash", "generation")


@dataclass(frozen=True)
class Delivered:
    """What became of a delivery: operations per verdict, how often each reason was given, and why it stopped early, if it did."""

    verdicts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    stopped: str | None = None

    @property
    def sent(self) -> int:
        return sum(n for verdict, n in self.verdicts.items() if verdict != GATED)


def outgoing(
    plan: ir.Table, acked: ir.Table, people: ir.Table, vault: ir.Table, match_key: str, fields: Mapping[str, str]
) -> Iterator[pa.RecordBatch]:
    """Operations to send, removals first, with the match key's value and the payload's fields. Never keep what this yields.

    Args:
        plan: what `plan` returned, blocked operations included.
        acked: op_id of operations the destination has acknowledged: a plan that was delivered in part goes on where it stopped.
        people: person_id and the columns named in `fields`.
        vault: `identity/vault`.
        match_key: which column of the vault persons are matched by; "person_id" needs none.
        fields: name in the payload to the person's column.
    """
    due = plan.filter(plan.blocked.isnull()).anti_join(acked, "op_id")
    known = due.select("person_id").distinct() if match_key == "person_id" else vault
    keys = known.select("person_id", key=known[match_key].cast("string"))
    values = people.select("person_id", **{f"field_{n}": c for n, c in fields.items()})
    joined = due.left_join(keys, "person_id").drop("person_id_right").left_join(values, "person_id").drop("person_id_right")
    first = (joined["op"] == "remove").ifelse(0, 1)
    return iter(joined.order_by([first, joined.audience, joined.person_id]).to_pyarrow_batches(chunk_size=50_000))


def deliver(
    operations: Iterator[pa.RecordBatch],
    destination: Destination,
    target: ObjectDef,
    ledger: Ledger,
    context: Context,
    *,
    gate: Gate = lambda _: {},
    on_progress: Callable[[Delivered], None] = lambda _: None,
) -> Delivered:
    """Sends operations in batches no larger than the object takes.

    Args:
        operations: what `outgoing` yields.
        destination: a configured connector.
        target: the object to deliver to.
        ledger: remembers.
        context: as_of, scratch and log for the connector.
        gate: holds operations back; they are written down as gated, and the next plan has them again.
        on_progress: called after each batch.
    """
    verdicts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for due in _batches(operations, target.max_batch):
        held = gate(pa.Table.from_pylist(due))
        if held:
            ledger.hold([{**_ledgered(row), "reason": held[row["op_id"]]} for row in due if row["op_id"] in held], context.as_of)
            verdicts["gated"] += len(held)
            reasons.update(held.values())
        rows = [row for row in due if row["op_id"] not in held]
        if not rows:
            continue
        begun = [_ledgered(row) for row in rows]
        ledger.begin(begun, context.as_of)
        try:
            outcomes = destination.deliver(target.name, [_operation(row) for row in rows], context)
        except ConnectorError as error:
            unsent = {str(o["op_id"]): Outcome(Verdict.RETRY, error.message) for o in begun}
            ledger.record(begun, unsent)
            verdicts[Verdict.RETRY.value] += len(begun)
            reasons[error.message] += len(begun)
            return Delivered(dict(verdicts), dict(reasons), stopped=str(error))
        ledger.record(begun, outcomes)
        for row in begun:
            outcome = outcomes.get(str(row["op_id"]), Outcome(Verdict.IN_DOUBT, "no answer for this operation"))
            verdicts[outcome.verdict.value] += 1
            if outcome.reason:
                reasons[outcome.reason] += 1
        on_progress(Delivered(dict(verdicts), dict(reasons)))
    return Delivered(dict(verdicts), dict(reasons))


def _batches(stream: Iterator[pa.RecordBatch], size: int) -> Iterator[list[dict[str, Any]]]:
    pending: list[dict[str, Any]] = []
    for batch in stream:
        pending.extend(batch.to_pylist())
        while len(pending) >= size:
            yield pending[:size]
            pending = pending[size:]
    if pending:
        yield pending


def _ledgered(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in LEDGER_COLUMNS}


def _operation(row: Mapping[str, Any]) -> Operation:
    kind = OpKind(row["op"])
    fields = {} if kind is OpKind.REMOVE else {n.removeprefix("field_"): _plain(v) for n, v in row.items() if n.startswith("field_")}
    return Operation(row["op_id"], kind, row["audience"], row["key"] or "", fields)


def _plain(value: Any) -> Any:
    """JSON-serialisable: instants as ISO 8601, exact amounts as floats."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | float | bool) else float(value) if hasattr(value, "as_tuple") else str(value)
