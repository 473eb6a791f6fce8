"""Sensors of deliveries: one tells people what is wrong, one has sent again what had to wait."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from connectors.errors import ConnectorError
from seg_assets.assets.activation import activation_keys
from seg_assets.errors import SegError
from seg_assets.graph import DestinationNode, Graph

MINIMUM_SECONDS = 30
FIRST_WAIT, LONGEST_WAIT = 60.0, 3600.0
"""Seconds between two deliveries of what had to wait: twice as long each time."""
WAITING = ("retry_wait", "gated")


def build_delivery_sensors(graph: Graph, running: dg.DefaultSensorStatus) -> list[dg.SensorDefinition]:
    """Alerts, if the project wants any, and repetition, if something is delivered.

    Args:
        graph: the project's graph.
        running: whether the one that acts starts switched on.
    """
    armed = [node for node in graph.destinations if node.object and node.config.armed]
    alerts = [_alerts(graph)] if graph.project.config.alerts else []
    return [*alerts, *([_due(graph, armed, running)] if armed else [])]


def _due(graph: Graph, armed: list[DestinationNode], running: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    keys = {node.name: [graph.asset_key(key) for key in activation_keys(node).values()] for node in armed}

    @dg.sensor(
        name=graph.name("deliveries_due"),
        target=dg.AssetSelection.assets(*(key for some in keys.values() for key in some)),
        minimum_interval_seconds=MINIMUM_SECONDS,
        default_status=running,
        description="Plans and delivers again where operations wait: a destination was down or asked to wait, or a gate held them back.",
    )
    def deliveries_due(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        asked: dict[str, tuple[float, int]] = json.loads(context.cursor) if context.cursor else {}
        now = datetime.now(UTC).timestamp()
        requests = []
        for node in armed:
            if not _waits(graph, node, now):
                asked.pop(node.name, None)
                continue
            at, times = asked.get(node.name, (0.0, 0))
            if now - at >= min(FIRST_WAIT * 2**times, LONGEST_WAIT):
                asked[node.name] = now, min(times + 1, 10)
                requests.append(dg.RunRequest(run_key=f"{node.name}/{now:.0f}", asset_selection=keys[node.name]))
        context.update_cursor(json.dumps(asked))
        return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason(f"nothing is due; waiting: {', '.join(asked) or 'nothing'}")

    return deliveries_due


def _waits(graph: Graph, node: DestinationNode, now: float) -> bool:
    """Whether operations wait that may be sent by now."""
    ledger = graph.ledger(node.name, node.object.name if node.object else "")
    if not any(ledger.states().get(state) for state in WAITING):
        return False
    rows: list[dict[str, Any]] = ledger.operations().select(["state", "not_before"]).to_pylist()
    return any(row["state"] in WAITING and (row["not_before"] is None or row["not_before"] <= now) for row in rows)


def _alerts(graph: Graph) -> dg.SensorDefinition:
    @dg.sensor(
        name=graph.name("delivery_alerts"),
        minimum_interval_seconds=MINIMUM_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells people when a promise about a delivery is broken, and when it is kept again.",
        target=None,
    )
    def delivery_alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from seg_assets.deliveries.alerts import broken_promises, changes, send

        told: dict[str, list[str]] = json.loads(context.cursor) if context.cursor else {}
        now = broken_promises(graph)
        failures = []
        with graph.context(datetime.now(UTC)) as connector_context:
            for name, alert in graph.project.config.alerts.items():
                news = changes(told.get(name, ()), now)
                try:
                    if news:
                        send(graph, alert, news, connector_context)
                    told[name] = sorted(now)
                except (SegError, ConnectorError) as error:
                    failures.append(f"{name}: {error}")
        context.update_cursor(json.dumps(told))
        if failures:
            context.log.error(f"an alert could not be sent, and is tried again: {'; '.join(failures)}")
        return dg.SkipReason(f"broken: {', '.join(now) or 'nothing'}{'; not everybody could be told' if failures else ''}")

    return delivery_alerts
