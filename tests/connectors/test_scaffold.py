"""`seg connectors new`: what it writes works as it stands, under any name and for every kind."""

import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest

from connectors.errors import ConfigError
from connectors.scaffold import KINDS, scaffold
from tests.cli.command import seg

TODAY = date(2026, 7, 1)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package with all kinds."""
    folder = tmp_path_factory.mktemp("work") / "seg-connector-beta-box"
    for kind in KINDS:
        scaffold(folder, "beta_box", kind, TODAY)
    return folder


def test_every_kind_keeps_its_contract_from_the_first_minute(package):
    done = subprocess.run([Path(sys.executable).with_name("seg"), "connectors", "test", str(package)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for contract in ("SourceContract", "DestinationContract", "EnricherContract", "ConsentContract"):
        assert f"| {contract} | beta_box |" in done.stdout
    assert "✗" not in done.stdout.replace("✗ broken", "")


def test_nothing_of_the_template_is_left(package):
    texts = {file: file.read_text() for file in package.rglob("*") if file.suffix in {".py", ".yaml", ".toml", ".md"}}
    assert not [file.name for file, text in texts.items() if "acme" in text.lower() or "acme" in file.name]
    assert "class BetaBoxSource:" in texts[package / "seg_connector_beta_box" / "source.py"]
    assert "read_on: 2026-07-01" in texts[package / "seg_connector_beta_box" / "source.yaml"]


def test_each_kind_is_an_entry_point_of_its_own(package):
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["name"] == "seg-connector-beta-box"
    assert project["entry-points"]["seg_assets.connectors"] == {f"beta_box_{kind}": f"seg_connector_beta_box.{kind}" for kind in KINDS}


def test_what_it_writes_is_clean_code(package):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(root / "pyproject.toml"), str(package)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_kind_that_is_there_already_is_not_written_over(tmp_path):
    scaffold(tmp_path, "beta", "source", TODAY)
    mine = tmp_path / "seg_connector_beta" / "source.py"
    mine.write_text("mine")
    with pytest.raises(ConfigError, match="nothing was written"):
        scaffold(tmp_path, "beta", "source", TODAY)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["Beta", "beta-box", "1beta", "", "béta"])
def test_a_name_that_is_no_id_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="can't be a connector's id"):
        scaffold(tmp_path / "new", name, "source", TODAY)
    assert not (tmp_path / "new").exists()


def test_the_command_says_what_to_do_next(tmp_path):
    done = seg("connectors", "new", "beta", "--kind", "enricher", "--dir", tmp_path / "beta")
    assert done.code == 0
    assert f"seg connectors test {tmp_path / 'beta'}" in done.out
    assert seg("connectors", "new", "beta", "--kind", "enricher", "--dir", tmp_path / "beta").mistake.endswith("nothing was written)")
