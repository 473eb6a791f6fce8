"""Checks of plans and deliveries: the findings of `deliveries/findings.py`, and whether a sample of members is still held."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from connectors.types import Capability
from seg_assets.assets.activation import activation_keys
from seg_assets.deliveries.findings import Finding, delivery_findings, plan_findings
from seg_assets.deliveries.standing import drifted
from seg_assets.graph import DestinationNode, Graph
from seg_assets.schema.tables import PERSON_CONSENTS

PLAN_CHECKS = {
    "consent": "Everybody who is added or updated has granted every purpose the audience and the destination need.",
    "removal_guard": "No removal is stopped by a guard.",
}
DELIVERY_CHECKS = {
    "delivered": "Nothing waits to be sent again.",
    "rejected": "The destination rejects at most `max_rejected` of the newest delivery.",
    "in_doubt": "Of every operation it is known whether it took effect.",
    "holdout_leak": "Nobody of a control group is held.",
    "receipts": "The chain of receipts is unbroken.",
}
WARNINGS = frozenset({"removal_guard", "delivered"})
DRIFT_SAMPLE = 100
"""Persons that are asked for after a delivery."""
LARGEST_DRIFT = 0.02
"""Share of them that may differ without a warning."""


def build_delivery_checks(graph: Graph, node: DestinationNode) -> list[dg.AssetChecksDefinition]:
    """Checks of one destination."""
    plan, receipts = (graph.asset_key(activation_keys(node)[part]) for part in ("plan", "receipts"))
    name = graph.name("__".join(activation_keys(node)["plan"][:3]))
    consents = [graph.asset_key(PERSON_CONSENTS.key)]
    plan_specs = [
        dg.AssetCheckSpec(check, asset=plan, blocking=check not in WARNINGS, additional_deps=consents, description=text)
        for check, text in PLAN_CHECKS.items()
    ]
    specs = [dg.AssetCheckSpec(check, asset=receipts, description=text) for check, text in DELIVERY_CHECKS.items()]

    @dg.multi_asset_check(name=f"{name}__plan_promises", specs=plan_specs)
    def plan_promises() -> Iterator[dg.AssetCheckResult]:
        yield from (_result(plan, finding) for finding in plan_findings(graph, node))

    @dg.multi_asset_check(name=f"{name}__promises", specs=specs)
    def promises() -> Iterator[dg.AssetCheckResult]:
        yield from (_result(receipts, finding) for finding in delivery_findings(graph, node))

    return [plan_promises, promises, *_drift(graph, node, receipts)]


def _drift(graph: Graph, node: DestinationNode, receipts: dg.AssetKey) -> list[dg.AssetChecksDefinition]:
    if node.connector is None or Capability.READ_BACK not in node.connector.meta.capabilities or not node.config.armed:
        return []

    @dg.asset_check(asset=receipts, name="drift", description=f"At most {LARGEST_DRIFT:.0%} of a sample of members is not held as acknowledged.")
    def drift() -> dg.AssetCheckResult:
        with graph.context(datetime.now(UTC)) as context:
            found = drifted(graph, node, DRIFT_SAMPLE, context)
        figures = {"asked": found.asked, "missing": found.missing, "differing": dict(found.differing)} if found else {}
        passed = found is None or found.share <= LARGEST_DRIFT
        return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=figures)

    return [drift]


def _result(asset: dg.AssetKey, finding: Finding) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if finding.name in WARNINGS else dg.AssetCheckSeverity.ERROR
    figures = {**finding.figures, **({} if finding.ok else {"why": finding.words})}
    return dg.AssetCheckResult(asset_key=asset, check_name=finding.name, passed=finding.ok, severity=severity, metadata=figures)
