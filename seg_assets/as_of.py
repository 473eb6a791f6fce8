"""The instant a run is true for. The only place that turns a clock into data; everything downstream takes `as_of` as an argument."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from seg_assets.errors import SegError
from seg_assets.graph import AS_OF_TAG, Graph


def parse_as_of(text: str) -> datetime:
    """An ISO 8601 instant with its zone, in UTC.

    Raises:
        SegError: it is not one.
    """
    try:
        instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise SegError(f"{text!r} is not an instant", hint="write it as 2026-07-01T00:00:00Z") from None
    if instant.tzinfo is None:
        raise SegError(f"{text!r} has no time zone", hint="add Z for UTC, e.g. 2026-07-01T00:00:00Z")
    return instant.astimezone(UTC)


def run_as_of(context: dg.AssetExecutionContext | dg.OutputContext, graph: Graph) -> datetime:
    """The run's tag `seg/as_of`, else the project's fixed `as_of`, else the second the run started: the same for all steps of a run."""
    run = context.run if isinstance(context, dg.AssetExecutionContext) else context.step_context.dagster_run
    tag = run.tags.get(AS_OF_TAG)
    if tag:
        return parse_as_of(tag)
    if graph.project.config.as_of:
        return graph.project.config.as_of.astimezone(UTC)
    instance = context.instance if isinstance(context, dg.AssetExecutionContext) else context.step_context.instance
    record = instance.get_run_record_by_id(run.run_id)
    if record is None:
        raise SegError("the run has no start time", hint=f"give it the tag {AS_OF_TAG}")
    created = datetime.fromtimestamp(record.start_time, UTC) if record.start_time else record.create_timestamp.astimezone(UTC)
    return created.replace(microsecond=0)
