"""activation/<destination>/<object>/*: what a delivery will do, what it did, and every receipt."""

from typing import Any

import dagster as dg
import ibis
import ibis.expr.types as ir

from connectors.types import Verdict
from seg_assets.activation import Audience, Delivered, Target, deliver, plan
from seg_assets.activation.deliver import outgoing
from seg_assets.as_of import run_as_of
from seg_assets.assets.segments import everything_known, segments_of
from seg_assets.errors import DeliveryError, ProjectError
from seg_assets.graph import DestinationNode, Graph
from seg_assets.lake.functions import keyed_hash
from seg_assets.metadata import Assets, asset_arguments
from seg_assets.schema.tables import ASSIGNMENTS, ENGAGEMENT, FEATURES, PERSON_CONSENTS, PERSONAS, PLAN, PROFILES, RECEIPTS, RFM, VAULT
from seg_assets.segments import SegmentSet
from seg_assets.segments.tables import HEALTH, MEMBERSHIPS

KNOWN = {"profiles": PROFILES, "features": FEATURES, "engagement": ENGAGEMENT, "rfm": RFM, "assignments": ASSIGNMENTS, "personas": PERSONAS}


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
    known = {name: dg.AssetIn(graph.asset_key(table.key)) for name, table in KNOWN.items()}
    vault_in = {"vault": dg.AssetIn(graph.asset_key(VAULT.key))}
    gate_ins = {
        "memberships": dg.AssetIn(graph.asset_key(MEMBERSHIPS.key)),
        "health": dg.AssetIn(graph.asset_key(HEALTH.key)),
        "consents": dg.AssetIn(graph.asset_key(PERSON_CONSENTS.key)),
    }

    @dg.asset(
        **asset_arguments(graph, keys["plan"], PLAN, kinds=kinds, code=[plan], tags=tags, description=f"{broken}{PLAN.description}"),
        ins={**known, **vault_in, **gate_ins},
    )
    def activation_plan(
        memberships: ir.Table, health: ir.Table, consents: ir.Table, vault: ir.Table, **known: ir.Table
    ) -> dg.MaterializeResult[ir.Table]:
        planned = _planned(graph, node, memberships, health, consents, vault, everything_known(**known)).cache()
        counts = planned.group_by("op", blocked=planned.blocked.fill_null("")).aggregate(n=planned.count()).to_pyarrow().to_pylist()
        return dg.MaterializeResult(value=planned, metadata=_plan_metadata(counts))

    @dg.asset(
        **asset_arguments(
            graph,
            keys["delivery"],
            RECEIPTS,
            kinds=kinds,
            code=[deliver],
            tags={**tags, "side_effect": "sends"},
            description=f"{broken}What this delivery did. Sends the plan; fails when the destination is down, so that it is never green by mistake.",
        ),
        ins={**known, **vault_in, "planned": dg.AssetIn(graph.asset_key(keys["plan"]))},
        pool=f"{node.config.connector}_{node.name}".replace("-", "_"),
    )
    def activation_delivery(
        context: dg.AssetExecutionContext, planned: ir.Table, vault: ir.Table, **known: ir.Table
    ) -> dg.MaterializeResult[ir.Table]:
        return _delivered(context, graph, node, planned, everything_known(**known), vault)

    @dg.asset(**asset_arguments(graph, keys["receipts"], RECEIPTS, kinds=kinds, code=[deliver], tags=tags), deps=[graph.asset_key(keys["delivery"])])
    def activation_receipts() -> dg.MaterializeResult[ir.Table]:
        return dg.MaterializeResult(value=_receipts(graph, node))

    return [activation_plan, activation_delivery, activation_receipts]


def _target(node: DestinationNode) -> Target:
    if node.object is None:
        raise ProjectError(f"destination {node.name} can't be used: {node.error}")
    return Target(node.name, node.object.name, node.object.match_key, node.config.fields, node.config.max_remove)


def _planned(
    graph: Graph, node: DestinationNode, memberships: ir.Table, health: ir.Table, consents: ir.Table, vault: ir.Table, people: ir.Table
) -> ir.Table:
    target = _target(node)
    hashed = keyed_hash(graph.project.pseudonym_key)
    known = people if target.match_key == "person_id" else vault
    key = known[target.match_key]
    reach = known.filter(key.notnull()).select("person_id", reach_hash=hashed(key.cast("string")))
    clear = [c for c in target.fields.values() if c not in people.columns]
    pseudonyms = vault.select("person_id", **{c: hashed(vault[c]) for c in clear})
    ledger = graph.ledger(target.destination, target.object)
    operations = ibis.memtable(ledger.operations())
    segments = segments_of(graph)
    committed, unsettled = ibis.memtable(ledger.committed()), ibis.memtable(ledger.unsettled())
    if segments.errors:  # an audience whose definition can't be read stays as the destination holds it
        committed, unsettled = (rows.filter(rows.audience.isin(list(segments.segments))) for rows in (committed, unsettled))
    return plan(
        target,
        _audiences(segments, node, health),
        memberships=memberships,
        people=people.left_join(pseudonyms, "person_id").drop("person_id_right") if clear else people,
        reach=reach,
        consents=consents,
        committed=committed,
        unsettled=unsettled,
        rejected=operations.filter(operations.state == Verdict.REJECTED.value).select("op_id"),
    )


def _audiences(segments: SegmentSet, node: DestinationNode, health: ir.Table) -> list[Audience]:
    small = {row["segment"] for row in health.filter(health.below_minimum).select("segment").to_pyarrow().to_pylist()}
    wanted = list(segments.segments) if node.config.audiences == "all" else [n for n in node.config.audiences if n not in segments.broken]
    return [Audience(name, tuple(segments[name].needs), name in small) for name in wanted]


def _delivered(
    context: dg.AssetExecutionContext, graph: Graph, node: DestinationNode, planned: ir.Table, people: ir.Table, vault: ir.Table
) -> dg.MaterializeResult[ir.Table]:
    target, as_of = _target(node), run_as_of(context, graph)
    nothing = RECEIPTS.schema.to_pyarrow().empty_table()
    if not node.config.armed:
        due = int(planned.filter(planned.blocked.isnull()).count().execute())
        return dg.MaterializeResult(value=ibis.memtable(nothing), metadata={"dry_run": True, "would_send": due})
    ledger = graph.ledger(target.destination, target.object)
    done = ibis.memtable(ledger.operations())
    acked = done.filter(done.state == Verdict.ACKED.value).select("op_id")
    clear = [c for c in target.fields.values() if c not in people.columns]
    known = people.left_join(vault.select("person_id", *clear), "person_id").drop("person_id_right") if clear else people
    rows = outgoing(planned, acked, known, vault, target.match_key, target.fields)
    with graph.context(as_of) as connector_context:
        result = deliver(rows, graph.destination(node.name), node.object, ledger, connector_context)  # type: ignore[arg-type]
    context.log.info(f"{target.destination}: {result.sent:,} operations, {dict(result.verdicts)}")
    unanswered = sum(n for verdict, n in result.verdicts.items() if verdict not in {Verdict.ACKED, Verdict.REJECTED})
    if result.stopped or unanswered:
        why = result.stopped or f"{unanswered:,} operations are not acknowledged: {', '.join(result.reasons)}"
        raise DeliveryError(f"destination {target.destination}: {why}", hint="nothing is lost: the next delivery sends the rest")
    receipts = _receipts(graph, node)
    return dg.MaterializeResult(value=receipts.filter(receipts.at == ibis.literal(as_of)), metadata=_delivery_metadata(result, planned))


def _receipts(graph: Graph, node: DestinationNode) -> ir.Table:
    target = _target(node)
    rows = ibis.memtable(graph.ledger(target.destination, target.object).operations())
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


def _delivery_metadata(result: Delivered, planned: ir.Table) -> dict[str, Any]:
    from seg_assets.report.canvas import as_markdown
    from seg_assets.report.flows import delivery_funnel

    figures = planned.aggregate(planned=planned.count(), blocked=planned.blocked.notnull().sum()).to_pyarrow().to_pylist()[0]
    counts = {"planned": figures["planned"], "blocked": figures["blocked"] or 0}
    counts |= {"acked": result.verdicts.get("acked", 0), "rejected": result.verdicts.get("rejected", 0)}
    counts["pending"] = counts["planned"] - counts["blocked"] - counts["acked"] - counts["rejected"]
    return {
        "funnel": dg.MetadataValue.md(as_markdown(delivery_funnel(counts), "Delivery")),
        "dry_run": False,
        "sent": result.sent,
        **{v.value: result.verdicts.get(v.value, 0) for v in Verdict},
        "reasons": dg.MetadataValue.json(dict(result.reasons)),
    }
