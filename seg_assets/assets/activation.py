"""activation/<destination>/<object>/*: what a delivery will do, what it did, and every receipt."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import dagster as dg
import ibis
import ibis.expr.types as ir

from connectors.types import Verdict
from seg_assets.activation import plan
from seg_assets.as_of import run_as_of
from seg_assets.deliveries.planning import KNOWN, Inputs, Planning, digest
from seg_assets.errors import DeliveryError, ProjectError
from seg_assets.graph import DestinationNode, Graph
from seg_assets.metadata import Assets, asset_arguments
from seg_assets.schema.tables import MEMBERSHIPS, PERSON_CONSENTS, PLAN, RECEIPTS, SEGMENT_HEALTH, VAULT

if TYPE_CHECKING:
    from seg_assets.activation.deliver import Delivered

PLANNING = tuple(f"seg_assets.activation.{name}" for name in ("eligibility", "guards", "mapping", "personalisation"))
SENDING = tuple(f"seg_assets.activation.{name}" for name in ("deliver", "sending", "doubts", "gates", "leaving", "outgoing"))
"""Modules that decide what is planned, and what becomes of it."""
UNANSWERED = (Verdict.RETRY.value, Verdict.IN_DOUBT.value, "stuck")
"""What fails a delivery; what a gate holds back, or the destination wants later, does not."""
RESYNC_TAG = "seg/resync"
"""Run tag that names a destination whose members are all sent again."""


def activation_keys(node: DestinationNode) -> dict[str, tuple[str, str, str, str]]:
    """Lake keys of a destination's plan, delivery and receipts."""
    name = node.object.name if node.object else "unavailable"
    return {part: ("activation", node.name, name, part) for part in ("plan", "delivery", "receipts")}


def build_activation_assets(graph: Graph) -> Assets:
    """Plan, delivery and receipts of every destination."""
    return [asset for node in graph.destinations for asset in _destination(graph, node)]


def _destination(graph: Graph, node: DestinationNode) -> Assets:
    keys = activation_keys(node)
    kinds = {*(node.connector.meta.kinds[:1] if node.connector else ("broken",)), "delta"}
    tags = {"connector": node.config.connector, "destination": node.name}
    broken = f"Broken: {node.error} " if node.error else ""
    tables = {**KNOWN, "vault": VAULT, "memberships": MEMBERSHIPS, "health": SEGMENT_HEALTH, "consents": PERSON_CONSENTS}
    ins = {name: dg.AssetIn(graph.asset_key(table.key)) for name, table in tables.items()}

    @dg.asset(
        **asset_arguments(graph, keys["plan"], PLAN, kinds=kinds, code=[plan, *PLANNING], tags=tags, description=f"{broken}{PLAN.description}"),
        ins=ins,
    )
    def activation_plan(context: dg.AssetExecutionContext, **tables: ir.Table) -> dg.MaterializeResult[ir.Table]:
        planning = Planning(graph, node, Inputs.of(**tables), run_as_of(context, graph))
        planned = planning.plan(resync=_resyncs(context, node)).cache()
        counts = planned.group_by("op", blocked=planned.blocked.fill_null("")).aggregate(n=planned.count()).to_pyarrow().to_pylist()
        return dg.MaterializeResult(value=planned, metadata={**_plan_metadata(counts), "digest": digest(planned)})

    @dg.asset(
        **asset_arguments(
            graph,
            keys["delivery"],
            RECEIPTS,
            kinds=kinds,
            code=SENDING,
            tags={**tags, "side_effect": "sends"},
            description=f"{broken}What this delivery did. Sends the plan; fails when the destination is down, so that it is never green by mistake.",
        ),
        ins={"planned": dg.AssetIn(graph.asset_key(keys["plan"]))},
        pool=f"{node.config.connector}_{node.name}".replace("-", "_"),
    )
    def activation_delivery(context: dg.AssetExecutionContext, planned: ir.Table) -> dg.MaterializeResult[ir.Table]:
        return _delivered(context, graph, node, planned)

    @dg.asset(**asset_arguments(graph, keys["receipts"], RECEIPTS, kinds=kinds, code=SENDING, tags=tags), deps=[graph.asset_key(keys["delivery"])])
    def activation_receipts() -> dg.MaterializeResult[ir.Table]:
        receipts = _receipts(graph, node)
        return dg.MaterializeResult(value=receipts, metadata=_receipt_metadata(receipts))

    return [activation_plan, activation_delivery, activation_receipts]


def _resyncs(context: dg.AssetExecutionContext, node: DestinationNode) -> bool:
    return context.run.tags.get(RESYNC_TAG) == node.name


def _delivered(context: dg.AssetExecutionContext, graph: Graph, node: DestinationNode, planned: ir.Table) -> dg.MaterializeResult[ir.Table]:
    as_of = run_as_of(context, graph)
    if not node.config.armed:
        nothing = ibis.memtable(RECEIPTS.schema.to_pyarrow().empty_table())
        due = int(planned.filter(planned.blocked.isnull()).count().execute())
        return dg.MaterializeResult(value=nothing, metadata={"dry_run": True, "would_send": due})
    from seg_assets.deliveries.delivering import deliver_plan

    result, points = deliver_plan(graph, node, planned, as_of, resync=_resyncs(context, node))
    context.log.info(f"{node.name}: {result.sent:,} operations, {dict(result.verdicts)}")
    metadata = _delivery_metadata(result, planned, points)
    unanswered = sum(result.verdicts.get(verdict, 0) for verdict in UNANSWERED)
    if result.stopped or unanswered:
        context.log_event(dg.AssetObservation(graph.asset_key(activation_keys(node)["delivery"]), metadata=metadata))
        why = result.stopped or f"{unanswered:,} operations are not acknowledged: {', '.join(result.reasons)}"
        raise DeliveryError(f"destination {node.name}: {why}", hint="nothing is lost: the next delivery sends the rest")
    receipts = _receipts(graph, node)
    return dg.MaterializeResult(value=receipts.filter(receipts.at == ibis.literal(as_of)), metadata=metadata)


def _receipts(graph: Graph, node: DestinationNode) -> ir.Table:
    target = node.object
    if target is None:
        raise ProjectError(f"destination {node.name} can't be used: {node.error}")
    rows = ibis.memtable(graph.ledger(node.name, target.name).operations())
    return rows.mutate(at=rows.as_of.cast('timestamp("UTC", 6)')).select(*RECEIPTS.schema.names)


def _plan_metadata(counts: list[dict]) -> dict[str, Any]:
    open_ops = {op: sum(c["n"] for c in counts if c["op"] == op and not c["blocked"]) for op in ("add", "update", "remove")}
    blocked = sorted(((c["blocked"], c["op"], c["n"]) for c in counts if c["blocked"]), key=lambda b: -b[2])
    lines = ["| blocked because | operation | persons |", "|---|---|---:|", *(f"| {why} | {op} | {n:,} |" for why, op, n in blocked)]
    return {
        **{f"to_{op}": n for op, n in open_ops.items()},
        "blocked": sum(n for _, _, n in blocked),
        "blocked_reasons": dg.MetadataValue.md("\n".join(lines) if blocked else "Nothing is blocked."),
    }


def _receipt_metadata(receipts: ir.Table) -> dict[str, Any]:
    from seg_assets.report.canvas import as_markdown
    from seg_assets.report.deliveries import SHADES, delivery_errors

    counts = receipts.group_by("state", reason=receipts.reason.fill_null("")).aggregate(n=receipts.count()).to_pyarrow().to_pylist()
    states = Counter[str]()
    for row in counts:
        states[row["state"]] += row["n"]
    reasons = {(row["state"], row["reason"]): row["n"] for row in counts if row["state"] in SHADES}
    errors = {"errors": dg.MetadataValue.md(as_markdown(delivery_errors(reasons), "Errors"))} if reasons else {}
    return {"states": dg.MetadataValue.json(dict(sorted(states.items()))), **errors}


def _delivery_metadata(result: "Delivered", planned: ir.Table, points: list[tuple[float, int]]) -> dict[str, Any]:
    from seg_assets.report.canvas import as_markdown
    from seg_assets.report.deliveries import delivery_throughput
    from seg_assets.report.flows import delivery_funnel

    figures = planned.aggregate(planned=planned.count(), blocked=planned.blocked.notnull().sum()).to_pyarrow().to_pylist()[0]
    counts = {"planned": figures["planned"], "blocked": figures["blocked"] or 0}
    counts |= {"acked": result.verdicts.get("acked", 0), "rejected": result.verdicts.get("rejected", 0)}
    counts["pending"] = counts["planned"] - counts["blocked"] - counts["acked"] - counts["rejected"]
    return {
        "funnel": dg.MetadataValue.md(as_markdown(delivery_funnel(counts), "Delivery")),
        **({"throughput": dg.MetadataValue.md(as_markdown(delivery_throughput(points), "Throughput"))} if result.sent else {}),
        "dry_run": False,
        "sent": result.sent,
        **{v.value: result.verdicts.get(v.value, 0) for v in Verdict},
        "reasons": dg.MetadataValue.json(dict(result.reasons)),
    }
