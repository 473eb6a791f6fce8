"""What refreshes by itself: sensors report what changed, and exactly what depends on it is requested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from seg_assets.build import definitions_of
from seg_assets.graph import Graph
from seg_assets.project.load import load_project
from seg_assets.schema.tables import FEATURES, SEGMENT_CHANGES, SEGMENT_HEALTH
from seg_assets.segments.workspace import rows_table
from tests.definitions.conftest import AS_OF, refresh, write_project

ALWAYS = {"unified/quarantine"}
"""What depends on every stream."""


class Kept:
    """A refreshed project of its own with the instance that watches it."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.root, self.instance, self.cursors = root, instance, dict[str, str]()
        self.load()
        self.ticks = dg.evaluate_automation_conditions(self.defs, instance)

    def load(self) -> None:
        self.graph = Graph.of(load_project(self.root))
        self.lake, self.defs = self.graph.lake, definitions_of(self.graph)
        self.sensors = {s.name: s for s in self.defs.get_repository_def().sensor_defs}

    def move_to(self, instant: datetime) -> None:
        """The project's fixed clock shows another time."""
        config = self.root / "project.yaml"
        config.write_text(config.read_text().replace(AS_OF, instant.isoformat()))
        self.load()

    def look(self, sensor: str = "files_watermarks") -> list[str]:
        """One tick of a sensor that looks: which sources it reports as changed."""
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursors.get(sensor), definitions=self.defs) as context:
            answer = self.sensors[sensor](context)
        if isinstance(answer, dg.SkipReason):
            return []
        self.cursors[sensor] = answer.cursor
        for event in answer.asset_events:
            self.instance.report_runless_asset_event(event)
        return sorted(event.asset_key.to_user_string() for event in answer.asset_events)

    def requested(self) -> set[str]:
        """One tick of the automation sensor: which assets it wants refreshed."""
        self.ticks = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.ticks.cursor)
        return {r.key.to_user_string() for r in self.ticks.results if isinstance(r.key, dg.AssetKey) and r.true_subset.size}

    def downstream(self, key: str) -> set[str]:
        graph = self.defs.resolve_asset_graph()
        found, waiting = set(), [dg.AssetKey(key.split("/"))]
        while waiting:
            children = graph.get(waiting.pop()).child_keys - found
            found |= children
            waiting += children
        return {k.to_user_string() for k in found}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Refreshed once; each test goes on from where the one before it left the project."""
    folder = tmp_path_factory.mktemp("kept")
    root = write_project(folder / "shop", destinations={})
    (folder / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(folder / "dagster")) as instance:
        assert refresh(Graph.of(load_project(root)), instance).success
        yield Kept(root, instance)


def test_a_new_file_refreshes_exactly_what_depends_on_its_stream(kept: Kept) -> None:
    assert kept.look() == []
    assert kept.requested() == set()
    (kept.root / "data" / "consents-2.csv").write_text(
        "consent_id,user_id,purpose,state,stated_at\nx1,u1,marketing_email,denied,2026-06-30T00:00:00Z\n"
    )
    assert kept.look() == ["source/files/consents"]
    wanted = kept.requested()
    assert wanted == kept.downstream("source/files/consents")
    assert {"raw/files/consents", "unified/consents", "segments/memberships"} <= wanted
    assert not wanted & {"raw/files/people", "raw/files/clicks", "unified/contacts", "unified/events"}
    assert kept.look() == []
    assert kept.requested() == set()


def test_segments_are_evaluated_again_when_a_membership_ends_by_itself(kept: Kept) -> None:
    assert kept.look("segment_timer") == []
    health = kept.lake.read(SEGMENT_HEALTH.key).to_pyarrow().to_pylist()
    end = min(row["next_flip"] for row in health if row["next_flip"])
    kept.move_to(end)
    assert kept.look("segment_timer") == ["source/clock/membership_ends"]
    wanted = kept.requested()
    assert {"segments/memberships", "segments/changes", "segments/health"} <= wanted
    assert not wanted & {"profiles/features", "unified/events"}
    assert kept.look("segment_timer") == []
    sizes = {row["segment"]: row["size"] for row in health}
    assert refresh(kept.graph, kept.instance, end.isoformat()).success
    left = [row for row in kept.lake.read(SEGMENT_CHANGES.key).to_pyarrow().to_pylist() if row["change"] == "left" and row["as_of"] == end]
    assert left
    now = {row["segment"]: row["size"] for row in kept.lake.read(SEGMENT_HEALTH.key).to_pyarrow().to_pylist()}
    assert sum(now.values()) == sum(sizes.values()) - len(left)


def test_a_stream_that_is_mapped_to_nothing_refreshes_nothing_else(project: Callable[..., Path]) -> None:
    streams = {"people": {"path": "data/people*.csv"}, "notes": {"path": "data/notes*.csv"}}
    connections = {"files": {"connector": "files", "config": {"streams": streams}, "streams": {"people": {"to": "contacts"}}}}
    graph = definitions_of(Graph.of(load_project(project(connections=connections, destinations={})))).resolve_asset_graph()
    assert {k.to_user_string() for k in graph.get(dg.AssetKey(["raw", "files", "notes"])).child_keys} <= ALWAYS


def test_who_enters_because_time_passes_is_looked_for_every_so_often(project: Callable[..., Path], tmp_path: Path) -> None:
    root = project(destinations={}, automation={"recheck": "15m"})
    graph = Graph.of(load_project(root))
    numbers = dict.fromkeys(("size", "share", "adds", "drops", "volatility", "redundancy", "containment", "cost_seconds"), 0)
    row = {"segment": "waiting", "title": "", "sentence": "", "definition_hash": "", "as_of": datetime(2026, 7, 1, tzinfo=UTC), **numbers}
    row |= {"below_minimum": False, "stale": False, "thresholds": "{}", "next_flip": None, "entered_by_time": True}
    graph.lake.write(SEGMENT_HEALTH.key, rows_table([row], SEGMENT_HEALTH.schema))
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        kept = Kept(root, instance)
        assert kept.look("segment_timer") == []
        kept.move_to(datetime(2026, 7, 1, 0, 15, tzinfo=UTC))
        assert kept.look("segment_timer") == ["source/clock/membership_ends"]
        assert kept.look("segment_timer") == []


def test_a_table_that_breaks_its_contract_stops_what_is_downstream(
    project: Callable[..., Path], run: Callable[..., dg.ExecuteInProcessResult], tmp_path: Path
) -> None:
    graph = Graph.of(load_project(project(destinations={})))
    features = graph.tables[FEATURES.key]
    impossible = tuple(replace(c, maximum=-1) if c.name == "events_total" else c for c in features.columns)
    graph.tables[FEATURES.key] = replace(features, columns=impossible)
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        done = run(graph, instance)
    made = {e.asset_key.to_user_string() for e in done.get_asset_materialization_events()}
    failed = {(e.asset_key.to_user_string(), e.check_name) for e in done.get_asset_check_evaluations() if not e.passed}
    assert not done.success
    assert ("profiles/features", "contract") in failed
    assert {"profiles/features", "profiles/consents"} <= made
    assert not made & {"clusters/assignments", "segments/memberships"}
