"""Folders in which pages are run: a checkout in which the demo ran, and copies of that demo. The demo runs once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.docs.shell import SHIMS, Shell

DEMO = "pip install uv && uv run seg demo"


@pytest.fixture(scope="session")
def shell_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Shell]:
    """Makes a shell for a folder."""
    shims, home = tmp_path_factory.mktemp("bin"), tmp_path_factory.mktemp("home")
    for name, script in SHIMS.items():
        (shims / name).write_text(f"#!/bin/sh\n{script}")
        (shims / name).chmod(0o755)
    return lambda folder: Shell(folder, shims, home)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository, as far as Dagster reads it, in a folder that may be written to."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "workspace.yaml", "dagster.yaml", "seg_assets", "connectors"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="session")
def demo(checkout: Path, shell_in: Callable[[Path], Shell]) -> Path:
    """The folder the first command of the README leaves behind."""
    shell_in(checkout).run(DEMO)
    return checkout / "demo"


@pytest.fixture
def demo_copy(demo: Path, tmp_path: Path) -> Path:
    """A demo of one's own."""
    copy = tmp_path / "demo"
    shutil.copytree(demo, copy)
    dotenv = copy / ".env"
    dotenv.write_text(dotenv.read_text().replace(str(demo), str(copy)))
    return copy
