"""`seg demo` in a process of its own: what it prints, what it delivers, and that it touches nothing outside its folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from connectors.hubspot.emulation import HubSpot
from connectors.sandbox.server import emulations
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


VENDORS = ("hubspot", "braze", "customerio")


def held(world: Path) -> dict[str, object]:
    """What each vendor's stand-in shows of what it holds, and how many changes ever came there."""
    found = {}
    for vendor in emulations(world / "work" / "shop" / "sandbox", VENDORS):
        with closing(vendor.store):
            shelves = [(shelf.title, shelf.total, shelf.rows) for shelf in vendor.shelves()]
            found[vendor.name] = (shelves, vendor.store.count_effects(), vendor.store.repeated_effects())
    return found


def lists(world: Path) -> dict[str, int]:
    """HubSpot's lists, and how many contacts are on each."""
    hubspot = HubSpot(world / "work" / "shop" / "sandbox" / "hubspot.sqlite")
    with closing(hubspot.store):
        return {one.body["name"]: hubspot.store.list_size(one.id) for one in hubspot.store.select("list")}


def test_the_demo_ends_with_one_object_on_standard_output(world: Path, demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.returncode == 0, demo.stderr
    found = json.loads(demo.stdout)
    assert list(found) == ["as_of", "people", "segments", "personas", "deliveries", "destinations", "quarantined", "lake", "seconds"]
    assert found["lake"] == str(world / "work" / "shop" / "lake")
    assert 150 <= found["people"] < 300
    assert {"vip", "lapsed_buyer", "fast_checkout"} <= {segment["id"] for segment in found["segments"]}
    assert all(persona["label"] and persona["size"] > 0 for persona in found["personas"])
    assert found["quarantined"] > 0


def test_the_demo_delivers_what_it_says_over_http(world: Path, demo: subprocess.CompletedProcess[str]) -> None:
    found = json.loads(demo.stdout)
    assert found["deliveries"]["acked"] > 0
    assert found["deliveries"] | {"acked": 0} == {"acked": 0, "rejected": 0, "pending": 0}
    assert {row["destination"] for row in found["destinations"]} == set(VENDORS)
    told = {row["audience"]: row["members"] for row in found["destinations"] if row["destination"] == "hubspot"}
    assert told == {name: size for name, size in lists(world).items() if size}
    sizes = {segment["id"]: segment["size"] for segment in found["segments"]}
    assert all(members <= sizes[audience] for audience, members in told.items())


def test_the_demo_touches_nothing_outside_its_folder(world: Path, demo: subprocess.CompletedProcess[str]) -> None:
    outside = [path for path in files(world) if not path.startswith(str(world / "work" / "shop"))]
    assert sorted(outside) == [str(world / name) for name in ("home", "tmp", "work")]
    assert {path.name for path in demo_path().iterdir()} - {"__pycache__"} == {"project.yaml", "segments", "connectors"}


@pytest.mark.release
def test_a_second_demo_delivers_nothing_twice_and_says_where_to_look(world: Path, demo: subprocess.CompletedProcess[str]) -> None:
    before, shop = held(world), world / "work" / "shop"
    done = seg("demo", "--dir", shop, "--customers", "150")
    assert done.code == 0, done.err
    assert held(world) == before
    found = json.loads(demo.stdout)
    assert f"{found['people']:,} people as of {found['as_of']}" in done.out
    assert f"Deliveries: {found['deliveries']['acked']:,} acknowledged, 0 rejected, 0 pending" in done.out
    assert all(segment["id"] in done.out for segment in found["segments"])
    assert f"seg ui --project {shop}" in done.out
    assert f"seg sandbox --dir {shop / 'sandbox'}" in done.out
    page = Path(next(line for line in done.out.splitlines() if line.startswith("Pictures: ")).removeprefix("Pictures: "))
    pictures = [file for file in page.parent.glob("*.png") if file.name in page.read_text(encoding="utf-8")]
    assert len(pictures) >= 5
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
