"""The example package and a scaffolded one, installed into a fresh environment: found, listed, and seen as assets of the graph."""

import json
import os
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from connectors.scaffold import scaffold

ROOT = Path(__file__).parents[2]
PROJECT = """
project: shop
connections:
  crm: {connector: acme, config: {url: "https://acme.example", client_secret: a, refresh_token: b}}
  feed: {connector: beta, config: {token: c}}
destinations:
  mail: {connector: acme, config: {url: "https://acme.example", client_secret: a, refresh_token: b}, audiences: all}
"""
KEYS = """
import json
from seg_assets.build import build_defs
defs = build_defs(automation=False)
keys = ["/".join(key.path) for key in defs.resolve_asset_graph().get_all_asset_keys()]
print(json.dumps(keys))
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The programs of a new environment with seg-assets, the example package and a scaffolded one in it."""
    if not (uv := shutil.which("uv")):
        pytest.skip("needs uv")
    folder = tmp_path_factory.mktemp("fresh")
    scaffold(folder / "seg-connector-beta", "beta", "source", date(2026, 7, 1))
    shutil.copytree(ROOT / "tests" / "packages" / "seg-connector-acme", folder / "seg-connector-acme")
    environment = {**os.environ, "VIRTUAL_ENV": str(folder / "venv")}
    constraints = ["--constraint", str(ROOT / "requirements.lock")]
    packages = [str(ROOT), str(folder / "seg-connector-acme"), str(folder / "seg-connector-beta")]
    for command in ([uv, "venv", "-q", str(folder / "venv")], [uv, "pip", "install", "-q", *constraints, *packages]):
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode and "fetch" in done.stderr:
            pytest.skip(f"no package index: {done.stderr.splitlines()[0]}")
        assert done.returncode == 0, done.stderr
    return folder / "venv" / "bin"


@pytest.fixture
def run(programs, tmp_path):
    """Runs one of them with the project as SEG_PROJECT, outside this repository; returns its standard output as JSON."""
    (tmp_path / "project.yaml").write_text(PROJECT)

    def call(program, *arguments):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SEG_PROJECT": str(tmp_path)}
        done = subprocess.run([programs / program, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


@pytest.mark.release
def test_installed_packages_are_listed_with_their_distribution(run):
    listed = {(row["connector"], row["from"]): row for row in run("seg", "connectors", "list", "--json")}
    acme = listed["acme", "package: seg-connector-acme 1.0.0"]
    assert (acme["kind"], acme["state"]) == ("source, enricher, destination, consent provider", "ok")
    assert listed["beta", "package: seg-connector-beta 0.1.0"]["state"] == "ok"


@pytest.mark.release
def test_their_streams_and_objects_are_assets_of_the_graph(run):
    keys = set(run("python", "-c", KEYS))
    assert {
        "raw/crm/contacts",
        "source/crm/contacts",
        "raw/feed/contacts",
        "activation/mail/members/plan",
        "activation/mail/members/delivery",
    } <= keys
