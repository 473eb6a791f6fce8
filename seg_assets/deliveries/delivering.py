"""A plan on its way to its destination: judged once more by one made now, shown to plug-ins, and sent. No Dagster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain

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
from seg_assets.schema.tables import CONSENTS


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
    judge = Judge(graph, node, planned, as_of, resync=resync)
    _ask_plug_ins(judge.planning, planned)
    target = judge.planning.object
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
            timed(_outgoing(judge, planned)),
            with_leave(graph.destination(node.name), _leave(planned, judge.now)),
            target,
            graph.ledger(node.name, target.name),
            context,
            prefer=node.config.in_doubt,
            gate=lambda rows: judge(rows, datetime.fromtimestamp(context.clock.now(), UTC)),
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


class Judge:
    """Judges each batch by a plan made from the newest tables: made anew whenever consents were stated since the last one.

    Its arguments are those of `deliver_plan`.
    """

    def __init__(self, graph: Graph, node: DestinationNode, planned: ir.Table, as_of: datetime, *, resync: bool) -> None:
        self._graph, self._node, self._planned, self._as_of, self._resync = graph, node, planned, as_of, resync
        self.version = -1
        self.look()

    def look(self) -> int:
        """Looks whether there is news; returns the number of the statements the plan is made from."""
        version = self._graph.lake.next_version(CONSENTS.key)
        if version != self.version:
            self.planning = Planning(self._graph, self._node, Inputs.newest(self._graph, self._as_of), self._as_of)
            self.now = self.planning.plan(resync=self._resync).cache()
            self._gate = gate(self._planned, self.now, _quiet(self.planning))
            self.version = version
        return self.version

    def __call__(self, rows: pa.Table, at: datetime) -> Mapping[str, str]:
        """op_id to reason of what may not be sent at an instant."""
        self.look()
        return self._gate(rows, at)


def _outgoing(judge: Judge, planned: ir.Table) -> Iterator[pa.RecordBatch]:
    """Removals for consent and suppression first, those that became due since the plan was made included; then the plan. What becomes due meanwhile goes
    ahead of what is left of it."""
    known, urgent = judge.version, judge.now.filter(judge.now.urgent)
    yield from _rows(judge, urgent)
    for batch in chain(_rows(judge, planned.anti_join(urgent, ["audience", "person_id"])), (None,)):
        if judge.look() != known:
            known, open_ = judge.version, ibis.memtable(judge.planning.graph.ledger(*_names(judge)).unsettled())
            # What is in doubt, and whole records, the next delivery takes out: it settles doubts before it begins.
            late = judge.now.filter(judge.now.urgent, judge.now.leave.isnull()).anti_join(open_, ["audience", "person_id"])
            yield from _rows(judge, late)
        if batch is not None:
            yield batch


def _rows(judge: Judge, plan: ir.Table) -> Iterator[pa.RecordBatch]:
    planning = judge.planning
    done = ibis.memtable(planning.graph.ledger(*_names(judge)).operations())
    acked = done.filter(done.state == Verdict.ACKED.value).select("op_id")
    payload, vault = planning.payload, planning.inputs.vault
    return outgoing(plan, acked, payload.table, vault, planning.object.match_key, payload.columns, planning.target.skip, planning.former)


def _names(judge: Judge) -> tuple[str, str]:
    return judge.planning.node.name, judge.planning.object.name


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
