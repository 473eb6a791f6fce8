"""The event log of `seg run`: Dagster's own files, which its own class reads and writes at the same time."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage

from seg_assets.cli.refresh import instance_of
from seg_assets.event_log import EventLog
from seg_assets.graph import Graph
from seg_assets.project.load import load_project
from tests.definitions.conftest import write_project

FACT = dg.AssetKey("fact")


@dg.asset(key=FACT)
def fact() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 7})


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return Graph.of(load_project(write_project(tmp_path / "shop", destinations={})))


def test_dagster_reads_what_was_written_and_the_other_way_round(graph: Graph) -> None:
    with instance_of(graph) as ours:
        assert isinstance(ours.event_log_storage, EventLog)
        with dg.DagsterInstance.from_config(ours.root_directory) as dagsters:
            assert type(dagsters.event_log_storage) is SqliteEventLogStorage
            for number, instance in enumerate([ours, dagsters, ours, dagsters], start=1):
                done = dg.materialize([fact], instance=instance)
                for reader in (ours, dagsters):
                    event = reader.get_latest_materialization_event(FACT)
                    assert event is not None
                    assert event.run_id == done.run_id
                    assert len(reader.all_logs(done.run_id)) == len(instance.all_logs(done.run_id)) > 5
                    assert reader.get_runs_count() == number


def test_a_storage_of_the_project_is_left_alone(graph: Graph, tmp_path: Path) -> None:
    with instance_of(graph) as instance:
        settings = Path(instance.root_directory) / "dagster.yaml"
    chosen = {"storage": {"sqlite": {"base_dir": str(tmp_path / "elsewhere")}}}
    settings.write_text(yaml.safe_dump(chosen), encoding="utf-8")
    with instance_of(graph) as instance:
        dg.materialize([fact], instance=instance)
        assert not isinstance(instance.event_log_storage, EventLog)
    assert list((tmp_path / "elsewhere").rglob("*.db"))
