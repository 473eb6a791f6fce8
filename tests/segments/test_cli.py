"""`seg segments` from the terminal: exit codes, output, and that nothing is written by looking."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seg_assets.cli.segments import segments

GOOD = "segment: good\nwhere: {did: page_viewed, in: 7d}\nexpect: [{events: [0m page_viewed], at: 1d, member: true}]\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project.yaml").write_text("project: test\nas_of: 2026-07-01T00:00:00Z\nlake: lake\n")
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "good.yaml").write_text(GOOD)
    return tmp_path


def seg(*arguments: str, project: Path) -> Result:
    return CliRunner().invoke(segments, [*arguments, "--project", str(project)])


def test_check_accepts_sound_definitions_and_prints_every_mistake_otherwise(project):
    assert (seg("check", project=project).exit_code, seg("check", project=project).output) == (0, "1 segments, no mistakes\n")
    (project / "segments" / "bad.yaml").write_text("segment: bad\nwhere: {all: [{age: x}, {did: y}]}\n")
    result = seg("check", "--json", project=project)
    assert result.exit_code == 2
    assert [row["place"].split("segments/")[1] for row in json.loads(result.output)] == ["bad.yaml:2:16", "bad.yaml:2:26"]


def test_test_fails_with_the_place_of_the_fixture(project):
    assert "1 of 1 fixtures pass" in seg("test", project=project).output
    (project / "segments" / "good.yaml").write_text(GOOD.replace("member: true", "member: false"))
    result = seg("test", "--json", project=project)
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["place"].endswith("good.yaml:3:10")


def test_new_writes_a_definition_whose_fixtures_pass_and_refuses_a_second(project):
    assert seg("new", "fresh", project=project).exit_code == 0
    assert "3 of 3 fixtures pass" in seg("test", project=project).output
    assert "already" in str(seg("new", "fresh", project=project).exception)


def test_list_and_sql_and_schema_need_no_lake(project):
    assert json.loads(seg("list", "--json", project=project).output)[0]["sentence"] == "People who did page viewed at least once in the last 7 days."
    assert "page_viewed" in seg("sql", "good", project=project).output
    assert json.loads(seg("schema", project=project).output)["title"] == "Segment definition"


def test_diff_names_what_was_edited_since_a_commit(project):
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments], cwd=project, check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    assert json.loads(seg("diff", "HEAD", "--json", project=project).output) == []
    (project / "segments" / "good.yaml").write_text(GOOD.replace("7d", "8d"))
    (project / "segments" / "more.yaml").write_text(GOOD.replace("good", "more"))
    rows = json.loads(seg("diff", "HEAD", "--json", project=project).output)
    assert [(row["segment"], row["change"]) for row in rows] == [("good", "edited"), ("more", "added")]
    assert "git could not read 'nowhere'" in str(seg("diff", "nowhere", project=project).exception)


def test_preview_before_the_first_refresh_says_what_to_do(project):
    assert "seg run" in str(seg("preview", project=project).exception)
