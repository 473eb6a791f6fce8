"""What makes the graph refresh by itself: sensors that look at sources, declarative automation behind them, and a daily safety net.

https://docs.dagster.io/guides/automate. One path per edge: a sensor reports that a source changed; its raw asset's automation condition requests the run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from seg_assets.assets.raw import WATERMARK, source_key
from seg_assets.assets.segments import TIMER
from seg_assets.delivery_sensors import build_delivery_sensors
from seg_assets.graph import ConnectionNode, Graph, StreamSource
from seg_assets.schema.tables import SEGMENT_HEALTH

MINIMUM_SECONDS = 30


def build_automation(graph: Graph, jobs: Sequence[dg.UnresolvedAssetJobDefinition]) -> tuple[list[dg.SensorDefinition], list[dg.ScheduleDefinition]]:
    """A sensor per connection, the automation sensor and the schedule.

    Sensors of connections and of the clock only look and report, so they always run. The automation sensor acts on what they report: it is the one switch.
    `deliveries_due` repeats deliveries that were cut short, and follows the same setting.
    """
    config = graph.project.config.automation
    running = dg.DefaultSensorStatus.RUNNING if config.enabled else dg.DefaultSensorStatus.STOPPED
    selection = dg.AssetSelection.all() if not graph.prefix else dg.AssetSelection.key_prefixes(list(graph.prefix))
    automation = dg.AutomationConditionSensorDefinition(
        graph.name("default_automation_condition_sensor"), target=selection, default_status=running, minimum_interval_seconds=MINIMUM_SECONDS
    )
    schedule = dg.ScheduleDefinition(
        name=graph.name("daily_refresh"),
        job=jobs[0],
        cron_schedule=config.schedule,
        execution_timezone=graph.project.config.calendar,
        default_status=dg.DefaultScheduleStatus.RUNNING if config.enabled else dg.DefaultScheduleStatus.STOPPED,
        description="Refreshes everything once a day, whatever the sensors saw.",
    )
    looking = [_connection_sensor(graph, node) for node in graph.connections if not node.error]
    return [*looking, _segment_timer(graph), *build_delivery_sensors(graph, running), automation], [schedule]


def _connection_sensor(graph: Graph, node: ConnectionNode) -> dg.SensorDefinition:
    @dg.sensor(
        name=graph.name(f"{node.name}_watermarks"),
        minimum_interval_seconds=max(MINIMUM_SECONDS, int(node.config.poll.total_seconds())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks {node.name} whether it has something new, and reports it on its source assets.",
        target=None,
    )
    def watermarks(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        source = graph.source(node.name)
        with graph.context(graph.project.config.as_of or datetime.now(UTC)) as connector_context:
            now = {s.definition.name: source.watermark(s.definition.name, connector_context) for s in node.streams}
        known = {s.definition.name: seen.get(s.definition.name) or _landed_watermark(context, graph, s) for s in node.streams}
        changed = [s for s in node.streams if now[s.definition.name] != known[s.definition.name]]
        if not changed and seen == now:
            return dg.SkipReason(f"nothing new in {', '.join(now)}")
        events = [dg.AssetMaterialization(graph.asset_key(source_key(s)), metadata={WATERMARK: now[s.definition.name]}) for s in changed]
        return dg.SensorResult(asset_events=events, cursor=json.dumps(now))

    return watermarks


def _segment_timer(graph: Graph) -> dg.SensorDefinition:
    @dg.sensor(
        name=graph.name("segment_timer"),
        minimum_interval_seconds=MINIMUM_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports on the clock when a membership's valid_until has passed, or when it is time to look who has entered because time passed.",
        target=None,
    )
    def segment_timer(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if not graph.lake.exists(SEGMENT_HEALTH.key):
            return dg.SkipReason("no segment was evaluated yet")
        due = _due(graph)
        if due is None:
            return dg.SkipReason("no membership begins or ends without a new event")
        if due > (graph.project.config.as_of or datetime.now(UTC)):
            return dg.SkipReason(f"no membership begins or ends before {due}")
        if context.cursor == due.isoformat():
            return dg.SkipReason(f"what was due at {due} is reported already")
        turned = dg.AssetMaterialization(graph.asset_key(TIMER), metadata={"due": due.isoformat()})
        return dg.SensorResult(asset_events=[turned], cursor=due.isoformat())

    return segment_timer


def _due(graph: Graph) -> datetime | None:
    """When time alone next turns a verdict: a member's is known to the microsecond; for persons who may enter, the project says how often to look."""
    health = graph.lake.read(SEGMENT_HEALTH.key)
    ends, evaluated = (
        health.aggregate(ends=health.next_flip.min(), evaluated=health.as_of.min(where=health.entered_by_time)).to_pyarrow().to_pylist()[0].values()
    )
    return min((at for at in (ends, evaluated and evaluated + graph.project.config.automation.recheck) if at), default=None)


def _landed_watermark(context: dg.SensorEvaluationContext, graph: Graph, stream: StreamSource) -> str | None:
    """How far the source had come when the raw table was last landed."""
    event = context.instance.get_latest_materialization_event(graph.asset_key(stream.key))
    materialization = event.asset_materialization if event else None
    entry = materialization.metadata.get(WATERMARK) if materialization else None
    return str(entry.value) if entry else None
