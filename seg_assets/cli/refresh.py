"""A refresh from the command line: what `seg run` and `seg demo` have in common. Runs in this process, recorded in the Dagster instance beside the lake."""

from __future__ import annotations

import gc
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import ibis

from seg_assets.errors import SegError
from seg_assets.graph import AS_OF_TAG, Graph
from seg_assets.project.load import Project
from seg_assets.schema.tables import MEMBERSHIPS, PERSONAS, PERSONS, QUARANTINE, SEGMENT_HEALTH

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Dagster's own log lines stay off the terminal; the run's page in the UI has them all."""


@dataclass(frozen=True)
class Refresh:
    """How a refresh went: failed steps with their reason, failed checks, seconds, and the instant it was true for."""

    as_of: str
    seconds: float
    failures: dict[str, str] = field(default_factory=dict)
    failed_checks: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.failures


def refresh(
    graph: Graph,
    *,
    as_of: datetime | None,
    select: str | None,
    on_step: Callable[[int], Callable[[str, bool], None]],
    tags: Mapping[str, str] | None = None,
) -> Refresh:
    """Materializes a project's assets.

    Args:
        graph: the project's graph.
        as_of: instant to be true for; None is the project's own, else now.
        select: Dagster asset selection, e.g. "group:segments+"; None is everything.
        on_step: given the number of steps, returns what is called after each with its name and whether it worked.
        tags: further tags of the run.
    """
    import dagster as dg

    from seg_assets.build import definitions_of

    gc.freeze()  # as in `definitions`: what is loaded by now stays
    definitions = definitions_of(graph, automation=False)
    selection = _selection(definitions, select)
    graph.lake.exists(PERSONS.key)  # a lake that can't be reached is one error here, not one per asset
    with instance_of(graph) as instance, _font_cache_in(dagster_home(graph.project)):
        job = definitions.resolve_implicit_global_asset_job_def()
        keys = list(selection) if selection is not None else None
        subset = definitions.resolve_job_def(job.name) if keys is None else job.get_subset(asset_selection=set(keys))
        marks = {**(tags or {}), **({AS_OF_TAG: as_of.isoformat()} if as_of else {})}
        step = on_step(len(subset.nodes))
        started = time.monotonic()
        failures: dict[str, str] = {}
        with _listening(instance, step, failures) as run_id:
            result = subset.execute_in_process(instance=instance, run_id=run_id, tags=marks, raise_on_error=False, run_config=QUIET)
        checks = [
            f"{e.asset_key.to_user_string()}:{e.check_name}"
            for e in result.get_asset_check_evaluations()
            if not e.passed and e.severity is dg.AssetCheckSeverity.ERROR
        ]
        failures |= dict.fromkeys(checks, "the check failed; the Dagster UI shows what it found")
        if not result.success and not failures:
            failures["run"] = "Dagster stopped it; the Dagster UI shows why"
        if keys is None or graph.asset_key(MEMBERSHIPS.key) in keys:
            failures |= _broken_segments(graph)
    return Refresh(_as_of(graph, as_of), round(time.monotonic() - started, 1), failures, checks)


def dagster_home(project: Project) -> Path:
    """Folder of the Dagster instance that remembers a project's runs: DAGSTER_HOME if set, else `.dagster` in a local lake or beside the project."""
    chosen = os.environ.get("DAGSTER_HOME")
    home = Path(chosen) if chosen else project.home / ".dagster" if project.config.lake_is_remote else Path(project.lake) / ".dagster"
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        template = resources.files("seg_assets.project") / "template" / "dagster.yaml"
        (home / "dagster.yaml").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    return home


@contextmanager
def instance_of(graph: Graph) -> Iterator[Any]:
    """The Dagster instance of a project; see `dagster_home`."""
    import dagster as dg

    from seg_assets.event_log import instance_ref

    with dg.DagsterInstance.from_ref(instance_ref(dagster_home(graph.project))) as instance:
        yield instance


def summary(graph: Graph, done: Refresh) -> dict[str, Any]:
    """What a refresh left behind, as the command line prints it with --json."""
    lake = graph.lake

    def rows(key: tuple[str, ...], *columns: str) -> list[dict[str, Any]]:
        return lake.read(key).select(*columns).to_pyarrow().to_pylist() if lake.exists(key) else []

    deliveries, held = {"acked": 0, "rejected": 0, "pending": 0}, []
    for node in graph.destinations:
        if node.object:
            ledger = graph.ledger(node.name, node.object.name)
            for state, count in ledger.states().items():
                deliveries[state if state in deliveries else "pending"] += count
            held += [{"destination": node.name, "object": node.object.name, **row} for row in _held(ledger)]
    return {
        "as_of": done.as_of,
        "people": lake.commit(PERSONS.key).rows if lake.exists(PERSONS.key) else 0,
        "segments": sorted(
            ({"id": r["segment"], "size": r["size"]} for r in rows(SEGMENT_HEALTH.key, "segment", "size")), key=lambda s: (-s["size"], s["id"])
        ),
        "personas": sorted(
            ({"id": r["persona"], "label": r["label"], "size": r["size"]} for r in rows(PERSONAS.key, "persona", "label", "size")),
            key=lambda p: (-p["size"], p["id"]),
        ),
        "deliveries": deliveries,
        "destinations": held,
        "quarantined": lake.commit(QUARANTINE.key).rows if lake.exists(QUARANTINE.key) else 0,
        "lake": graph.project.lake,
        "seconds": done.seconds,
    }


def _held(ledger: Any) -> list[dict[str, Any]]:
    """How many members of each audience a destination has acknowledged to hold."""
    members = Counter(row["audience"] for row in ledger.committed().to_pylist() if row["payload_hash"] is not None)
    return [{"audience": audience, "members": count} for audience, count in sorted(members.items())]


def _selection(definitions: Any, select: str | None) -> Any:
    import dagster as dg

    if select is None:
        return None
    graph = definitions.resolve_asset_graph()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)  # of Dagster's own parser, for `group:`
            keys = dg.AssetSelection.from_string(select).required_multi_asset_neighbors().resolve(graph) & graph.materializable_asset_keys
    except Exception as error:
        raise SegError(f"--select {select!r} can't be understood: {str(error).splitlines()[0]}", hint='e.g. "key:segments/memberships+"') from None
    if not keys:
        raise SegError(f"--select {select!r} selects no asset", hint="`seg status` lists the tables")
    return keys


@contextmanager
def _font_cache_in(folder: Path) -> Iterator[None]:
    """Matplotlib keeps its list of fonts there and not in the user's home, unless MPLCONFIGDIR says where."""
    chosen = "MPLCONFIGDIR" in os.environ
    os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
    try:
        yield
    finally:
        if not chosen:
            del os.environ["MPLCONFIGDIR"]


@contextmanager
def _listening(instance: Any, step: Callable[[str, bool], None], failures: dict[str, str]) -> Iterator[str]:
    """Follows a run that is about to start; yields the id to start it with."""
    from dagster._core.utils import make_new_run_id

    run_id = make_new_run_id()

    def heard(entry: Any) -> None:
        event = entry.dagster_event
        if event is None or event.event_type_value not in {"STEP_SUCCESS", "STEP_FAILURE"}:
            return
        worked = event.event_type_value == "STEP_SUCCESS"
        if not worked:
            failures[_readable(event.step_key)] = _cause(event.event_specific_data.error)
        step(_readable(event.step_key), worked)

    instance.add_event_listener(run_id, heard)
    yield run_id


def _broken_segments(graph: Graph) -> dict[str, str]:
    """Segments that could not be read or evaluated, with the reason: the others were refreshed, their last members stay."""
    segments = graph.segments()
    found = {str(error.place or "segments"): f"{error.message}{f' ({error.hint})' if error.hint else ''}" for error in segments.errors}
    if not graph.lake.exists(SEGMENT_HEALTH.key):
        return found
    stale = graph.lake.read(SEGMENT_HEALTH.key).filter(ibis._.stale).select("segment", "error").to_pyarrow().to_pylist()
    return found | {f"segment {row['segment']}": row["error"] for row in stale if row["segment"] not in segments.broken}


def _readable(step_key: str) -> str:
    return step_key.replace("__", "/")


def _cause(error: Any) -> str:
    """The innermost message of a step's error, in one line."""
    while error.cause:
        error = error.cause
    name, _, message = error.message.strip().partition(": ")
    known = name.rsplit(".", 1)[-1].endswith(("Error", "Exception")) and message
    return (message if (known and "Seg" in name) or (known and "seg_assets" in name) or (known and "connectors" in name) else error.message).strip()


def _as_of(graph: Graph, as_of: datetime | None) -> str:
    known = as_of or graph.project.config.as_of
    return str(graph.lake.facts(PERSONS.key).get("as_of") or (known.isoformat() if known else ""))
