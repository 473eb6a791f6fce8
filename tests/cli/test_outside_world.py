"""`seg demo` in a process of its own: what it prints, what it delivers, and that it touches nothing outside its folder."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.webhook.emulation_members import MemberStore
from seg_assets.project.load import demo_path
from tests.cli.command import files, seg

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home, a folder for temporary files and one to work in, all empty."""
    world = tmp_path_factory.mktemp("world")
    for name in ("home", "tmp", "work"):
        (world / name).mkdir()
    return world


@pytest.fixture(scope="module")
def demo(world: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(world / "home"), "TMPDIR": str(world / "tmp")}
    command = [Path(sys.executable).with_name("seg"), "demo", "--dir", "shop", "--customers", "150", "--json"]
    return subprocess.run(command, cwd=world / "work", env=environment, capture_output=True, text=True, check=False)


def applied(world: Path) -> int:
    """How many operations the demo's receiver has ever applied."""
    with sqlite3.connect(world / "work" / "shop" / "receiver.sqlite") as connection:
        return connection.execute("select count(*) from applied").fetchone()[0]


def test_the_demo_ends_with_one_object_on_standard_output(world: Path, demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.returncode == 0, demo.stderr
    found = json.loads(demo.stdout)
    assert list(found) == ["as_of", "people", "segments", "personas", "deliveries", "quarantined", "lake", "seconds"]
    assert found["lake"] == str(world / "work" / "shop" / "lake")
    assert 150 <= found["people"] < 300
    assert {"vip", "lapsed_buyer", "fast_checkout"} <= {segment["id"] for segment in found["segments"]}
    assert all(persona["label"] and persona["size"] > 0 for persona in found["personas"])
    assert found["quarantined"] > 0


def test_the_demo_delivers_what_it_says_over_http(world: Path, demo: subprocess.CompletedProcess[str]) -> None:
    found = json.loads(demo.stdout)
    assert found["deliveries"] == {"acked": applied(world), "rejected": 0, "pending": 0}
    held = {audience.audience: audience.members for audience in MemberStore(world / "work" / "shop" / "receiver.sqlite").audiences()}
    sizes = {segment["id"]: segment["size"] for segment in found["segments"]}
    assert held
    assert all(members <= sizes[audience] for audience, members in held.items())


def test_the_demo_touches_nothing_outside_its_folder(world: Path, demo: subprocess.CompletedProcess[str]) -> None:
    outside = [path for path in files(world) if not path.startswith(str(world / "work" / "shop"))]
    assert sorted(outside) == [str(world / name) for name in ("home", "tmp", "work")]
    assert {path.name for path in demo_path().iterdir()} - {"__pycache__"} == {"project.yaml", "segments", "connectors"}


def test_a_second_demo_delivers_nothing_twice_and_says_where_to_look(world: Path, demo: subprocess.CompletedProcess[str]) -> None:
    before, shop = applied(world), world / "work" / "shop"
    held = MemberStore(shop / "receiver.sqlite").audiences()
    done = seg("demo", "--dir", shop, "--customers", "150")
    assert done.code == 0, done.err
    assert (applied(world), MemberStore(shop / "receiver.sqlite").audiences()) == (before, held)
    found = json.loads(demo.stdout)
    assert f"{found['people']:,} people as of {found['as_of']}" in done.out
    assert f"Deliveries: {before:,} acknowledged, 0 rejected, 0 pending" in done.out
    assert all(segment["id"] in done.out for segment in found["segments"])
    assert f"seg ui --project {shop}" in done.out
    page = Path(next(line for line in done.out.splitlines() if line.startswith("Pictures: ")).removeprefix("Pictures: "))
    pictures = [file for file in page.parent.glob("*.png") if file.name in page.read_text(encoding="utf-8")]
    assert len(pictures) >= 5
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
