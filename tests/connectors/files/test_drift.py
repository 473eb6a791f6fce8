"""Files whose columns change, from the folder to the lake: what was set aside comes back when the policy allows it."""

from datetime import UTC, datetime

import pytest

from connectors.files import FilesSource
from connectors.types import Landing
from seg_assets.lake import Lake, land
from seg_assets.lake.drift import Drift
from seg_assets.lake.raw_table import drifted_key, landed_cursor

KEY = ("raw", "shop", "rows")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def landing(project, context, tmp_path):
    """Lands what is new in the project's files; gives ids in the table and set aside."""
    lake = Lake(tmp_path / "lake")
    source = FilesSource(FilesSource.config_model(path="data/*.csv"))

    def ids(key):
        return sorted(lake.read(key).to_pyarrow()["id"].to_pylist()) if lake.exists(key) else []

    def landing(drift):
        pages = source.read("rows", landed_cursor(lake, KEY), context)
        land(lake, KEY, pages, landing=Landing.REPLACE_SLICE, loaded_at=NOON, facts={}, drift=drift)
        return ids(KEY), ids(drifted_key(KEY))

    return landing


def test_every_row_of_the_files_is_there_once_after_the_policy_was_changed(project, landing):
    (project / "data/monday.csv").write_text("id,city\n1,Graz\n2,Linz\n")
    assert landing(Drift.QUARANTINE) == (["1", "2"], [])
    (project / "data/tuesday.csv").write_text("id,city,vip\n3,Graz,yes\n4,Linz,\n")
    (project / "data/wednesday.csv").write_text("id,city\n5,Wien\n")
    assert landing(Drift.QUARANTINE) == (["1", "2", "4", "5"], ["3"])
    assert landing(Drift.EVOLVE) == (["1", "2", "3", "4", "5"], [])
    assert landing(Drift.QUARANTINE) == (["1", "2", "3", "4", "5"], [])
    (project / "data/tuesday.csv").write_text("id,city,vip\n3,Graz,no\n4,Linz,\n6,Wels,yes\n")
    assert landing(Drift.QUARANTINE) == (["1", "2", "3", "4", "5", "6"], [])
