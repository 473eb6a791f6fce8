"""enriched/<name>: what an enricher told about persons who allow it, within a budget. Part of unified/enrichments."""

from decimal import Decimal
from typing import Any

import dagster as dg
import ibis.expr.types as ir

from connectors.types import Landing
from seg_assets.as_of import run_as_of
from seg_assets.enrichment import ANSWERS, Asked, answers, due
from seg_assets.graph import EnricherNode, Graph
from seg_assets.lake import land
from seg_assets.metadata import Assets, asset_arguments, cost_metadata
from seg_assets.schema.tables import CONSENTS, CONTACTS

CHECKS = {
    "budget": "Everybody who may be asked about was, within the budget.",
    "match_rate": "The vendor finds the share of persons the project expects.",
}


def build_enriched_assets(graph: Graph) -> Assets:
    """One asset per enricher of the project, none where it has none."""
    return [_enriched(graph, node) for node in graph.enrichers]


def _enriched(graph: Graph, node: EnricherNode) -> Any:
    broken = f"Broken: {node.error} " if node.error else ""
    arguments = asset_arguments(
        graph,
        node.key,
        None,
        description=f"{broken}What {node.title} says about persons who granted {node.config.purpose}: a row per attribute, and who was not found.",
        kinds={*(node.connector.meta.kinds[:2] if node.connector else ("broken",))} or {node.config.connector},
        code=[answers, due],
        tags={"connector": node.config.connector, "side_effect": "spends"},
    )
    arguments["metadata"]["dagster/column_schema"] = dg.TableSchema([dg.TableColumn(field.name, str(field.type)) for field in ANSWERS])
    asset = graph.asset_key(node.key)

    @dg.asset(
        **arguments,
        ins={"contacts": dg.AssetIn(graph.asset_key(CONTACTS.key)), "consents": dg.AssetIn(graph.asset_key(CONSENTS.key))},
        pool=f"{node.config.connector}_{node.name}".replace("-", "_"),
        check_specs=[dg.AssetCheckSpec(name, asset=asset, description=text) for name, text in CHECKS.items()],
    )
    def enriched(context: dg.AssetExecutionContext, contacts: ir.Table, consents: ir.Table) -> dg.MaterializeResult:
        return _asked(context, graph, node, contacts, consents)

    return enriched


def _asked(context: dg.AssetExecutionContext, graph: Graph, node: EnricherNode, contacts: ir.Table, consents: ir.Table) -> dg.MaterializeResult:
    enricher, as_of, asked = graph.enricher(node.name), run_as_of(context, graph), Asked()
    told = graph.lake.read(node.key) if graph.lake.exists(node.key) else None
    wanted = due(contacts, consents, told, purpose=node.config.purpose, again=node.config.again, as_of=as_of)
    emails = wanted.to_pyarrow()["email"].to_pylist()
    with graph.context(as_of) as connector_context:
        pages = answers(enricher, emails, node.config.fields, Decimal(str(node.config.budget)), connector_context, asked)
        facts = {"as_of": as_of.isoformat(), "run_id": context.run.run_id}
        land(graph.lake, node.key, pages, landing=Landing.APPEND, loaded_at=as_of, facts=facts, declared=ANSWERS, commit_seconds=0)
    found = asked.found_share
    results = {"budget": (not asked.stopped, {"stopped": asked.stopped or "no"}), "match_rate": (found >= node.config.expect, {"found_share": found})}
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": graph.lake.commit(node.key).rows,
            "persons_due": len(emails),
            "persons_asked": asked.asked,
            "spent": float(asked.spent),
            "unit": asked.unit or "nothing was asked",
            "answers": dg.MetadataValue.json(dict(asked.matches)),
            **cost_metadata(connector_context.cost),
        },
        check_results=[
            dg.AssetCheckResult(check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)
            for name, (passed, metadata) in results.items()
        ],
    )
