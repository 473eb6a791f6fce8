"""A user's mistake ends with exit code 2 and says what is wrong and where, in one line; nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from seg_assets.project.init import init_project
from tests.cli.command import files, seg


@pytest.fixture
def project(tmp_path: Path) -> Path:
    init_project(tmp_path / "shop")
    return tmp_path / "shop"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--as-of", "yesterday"], "'yesterday' is not an instant (write it as 2026-07-01T00:00:00Z)"),
        (["run", "--as-of", "2026-07-01T00:00:00"], "has no time zone"),
        (["run", "--select", "key:("], "--select 'key:(' can't be understood"),
        (["run", "--select", "key:nothing"], "selects no asset"),
        (["run", "--frobnicate"], "No such option '--frobnicate' (see seg run --help)"),
        (["table", "profiles/nothing"], "the lake has no table profiles/nothing (`seg status` lists what is there"),
        (["table", "profiles/features", "--limit", "-1"], "-1 is not in the range x>=0"),
        (["table"], "Missing argument 'KEY'"),
        (["connectors", "info", "nothing"], "connector 'nothing'"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_argument_is_named(project: Path, arguments: list[str], says: str) -> None:
    before = files(project)
    assert says in seg(*arguments, SEG_PROJECT=project).mistake
    assert files(project) == before


@pytest.mark.parametrize("verb", [["run"], ["status"], ["table", "unified/events"], ["connectors", "list"], ["segments", "list"]], ids=" ".join)
def test_a_missing_project_is_named(tmp_path: Path, verb: list[str]) -> None:
    assert f"{tmp_path / 'nowhere'}: there is no such folder" in seg(*verb, "--project", tmp_path / "nowhere").mistake
    assert "the folder has no project.yaml (make a project with seg init DIR)" in seg(*verb, "--project", tmp_path).mistake
    assert files(tmp_path) == {}


def test_a_new_project_overwrites_nothing(project: Path) -> None:
    before = files(project)
    assert "already (choose an empty folder; nothing was written)" in seg("init", project).mistake
    assert files(project) == before


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("project.yaml", "lake: lake", "lake: [lake", "project.yaml:5:1: not valid YAML: expected ',' or ']'"),
        ("project.yaml", "currency: USD", "curency: USD", "project.yaml:6:1: curency: unknown key; did you mean 'currency'?"),
        (
            "project.yaml",
            "  default_region: US",
            "  default_regions: US",
            ":3: identity.default_regions: unknown key; did you mean 'default_region'?",
        ),
        ("project.yaml", "quantity: quantity", "quantities: quantity", "'quantities' is not a column of events; did you mean 'quantity'?"),
        ("project.yaml", "nullif(campaign, 'none')", "now()", "columns.campaign_id.sql: the SQL calls now()"),
        ("taxonomy.yaml", "type: string", "type: text", "taxonomy.yaml:3:10: attributes.tier.type: must be one of 'string', 'int64'"),
        ("taxonomy.yaml", "enums:", "enum:", "taxonomy.yaml:5:1: enum: unknown key; did you mean 'enums'?"),
    ],
    ids=["broken YAML", "unknown key", "unknown nested key", "unknown column", "clock in SQL", "unknown type", "unknown key of the taxonomy"],
)
def test_a_mistake_in_a_file_is_told_with_its_place(project: Path, file: str, old: str, new: str, says: str) -> None:
    text = (project / file).read_text(encoding="utf-8")
    (project / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    before = files(project)
    mistake = seg("run", "--project", project).mistake
    assert says in mistake
    assert mistake.startswith(f"seg: {project / file}:")
    assert files(project) == before
