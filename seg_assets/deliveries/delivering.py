"""A plan on its way to its destination: judged once more by one made now, shown to plug-ins, and sent. No Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from connectors.types import DeliveryEvent, PlanSummary, Verdict
from seg_assets.activation.deliver import Delivered, deliver
from seg_assets.activation.gates import Quiet, gate
from seg_assets.activation.leaving import with_leave
from seg_assets.activation.outgoing import outgoing
from seg_assets.deliveries.planning import Inputs, Planning
from seg_assets.errors import DeliveryError
from seg_assets.graph import DestinationNode, Graph


def deliver_plan(
    graph: Graph, node: DestinationNode, planned: ir.Table, as_of: datetime, *, resync: bool = False
) -> tuple[Delivered, list[tuple[float, int]]]:
    """Sends what a plan says and a plan made now agrees with.

    Args:
        graph, node: project and destination.
        planned: columns of `schema.tables.PLAN`.
        as_of: instant of the run.
        resync: whether the plan sends every member again.

    Returns:
        What became of it; and seconds since the first batch was ready with the operations sent by then, one pair per batch.

    Raises:
        DeliveryError: a plug-in refuses the delivery.
    """
    planning = Planning(graph, node, Inputs.newest(graph, as_of), as_of)
    now = planning.plan(resync=resync).cache()
    _ask_plug_ins(planning, planned)
    target = planning.object
    points: list[tuple[float, int]] = []

    def tell(state: str, done: Delivered) -> None:
        graph.registry.tell(DeliveryEvent(node.name, target.name, as_of, state, dict(done.verdicts), done.stopped))

    with graph.context(as_of) as context:
        began: list[float] = []

        def timed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                began.append(context.clock.now())
                yield batch

        def progress(done: Delivered) -> None:
            at = context.clock.now()
            points.append((at - (began[0] if began else at), done.sent))
            tell("batch", done)

        tell("started", Delivered())
        result = deliver(
            timed(_outgoing(planning, planned, now)),
            with_leave(graph.destination(node.name), _leave(planned, now)),
            target,
            graph.ledger(node.name, target.name),
            context,
            prefer=node.config.in_doubt,
            gate=gate(planned, now, lambda: datetime.fromtimestamp(context.clock.now(), UTC), _quiet(planning)),
            on_progress=progress,
        )
    tell("finished", result)
    return result, points


def _ask_plug_ins(planning: Planning, planned: ir.Table) -> None:
    due = planned.filter(planned.blocked.isnull())
    rows = due.group_by("op", "audience").aggregate(n=due.count()).to_pyarrow().to_pylist()
    operations = {op: sum(row["n"] for row in rows if row["op"] == op) for op in ("add", "update", "remove")}
    audiences = tuple(sorted({row["audience"] for row in rows}))
    refusals = planning.graph.registry.refusals(PlanSummary(planning.node.name, planning.object.name, planning.as_of, operations, audiences))
    if refusals:
        raise DeliveryError(f"destination {planning.node.name}: refused by a plug-in: {'; '.join(refusals)}", hint="nothing was sent")


def _outgoing(planning: Planning, planned: ir.Table, now: ir.Table) -> Iterator[pa.RecordBatch]:
    """Removals for consent and suppression first, those that became due since the plan was made included; then the plan."""
    done = ibis.memtable(planning.graph.ledger(planning.node.name, planning.object.name).operations())
    acked = done.filter(done.state == Verdict.ACKED.value).select("op_id")
    payload, vault = planning.payload, planning.inputs.vault
    urgent = now.filter(now.urgent)
    for part in (urgent, planned.anti_join(urgent, ["audience", "person_id"])):
        yield from outgoing(part, acked, payload.table, vault, planning.object.match_key, payload.columns, planning.target.skip, planning.former)


def _leave(*plans: ir.Table) -> dict[str, str]:
    """Removals that stand for the whole record, by op_id."""
    rows = [row for t in plans for row in t.filter(t["op"] == "remove", t.leave.notnull()).select("op_id", "leave").to_pyarrow().to_pylist()]
    return {row["op_id"]: row["leave"] for row in rows}


def _quiet(planning: Planning) -> Quiet | None:
    hours, people = planning.node.config.quiet_hours, planning.people
    if hours is None:
        return None
    known = people.filter(people[hours.timezone].notnull()).select("person_id", zone=hours.timezone).to_pyarrow() if hours.timezone else None
    zones = dict(zip(known["person_id"].to_pylist(), known["zone"].to_pylist(), strict=True)) if known else {}
    return Quiet(hours.start, hours.end, planning.graph.project.config.calendar, zones)
