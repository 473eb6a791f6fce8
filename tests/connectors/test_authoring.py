"""The guide to writing a connector holds: done as it stands there, against a stand-in that is served by the command it names."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.hookspecs import ENTRY_POINT_GROUP
from seg_assets.lake import Lake
from tests.docs.pages import Block, blocks

PAGE = "docs/authoring.md"
SEG = Path(sys.executable).with_name("seg")


def installed(folder: Path) -> Path:
    """What `pip install -e` leaves: metadata with the entry point, found on the path."""
    site = folder / "site"
    info = site / "seg_connector_loyalty-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: seg-connector-loyalty\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\nloyalty_source = seg_connector_loyalty.source\n")
    return site


@contextmanager
def sandbox(command: str, folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The command of the guide, on a free port; yields that."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = re.sub(r"--port \d+", f"--port {port} --customers 30", command).split()
    with subprocess.Popen([SEG, *words[1:]], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            while "address" not in process.stdout.readline():
                assert process.poll() is None
            yield port
        finally:
            process.send_signal(signal.SIGTERM)


@pytest.mark.release
def test_the_guide_leads_to_a_connector_in_the_graph(tmp_path: Path) -> None:
    path = os.pathsep.join([str(installed(tmp_path)), str(tmp_path / "seg-connector-loyalty")])
    environment = {**os.environ, "PATH": f"{SEG.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": path}

    def run(block: Block) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"

    served = next(block.text for block in blocks(PAGE) if block.text.startswith("seg sandbox"))
    for block in blocks(PAGE):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        elif "with-sandbox" in block.tags:
            with sandbox(served, tmp_path, environment) as port:
                project = tmp_path / "project.yaml"
                project.write_text(project.read_text().replace("8026", port))
                run(block)
        elif "no-run" not in block.tags:
            run(block)
    rows = Lake(str(tmp_path / "lake")).read(("raw", "members", "contacts")).to_pyarrow()
    assert rows.num_rows > 20
    assert set(rows["phone"].to_pylist()) == {"+436601234567"}
