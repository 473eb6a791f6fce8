"""docs/sandbox.md holds: its commands and programs run, and its tables name what there is."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from connectors.sandbox.faults import Dial
from connectors.sandbox.server import VENDORS, emulations
from tests.connectors.sandbox.specification import DEVIATIONS, DOCUMENTS
from tests.connectors.sandbox.test_specification import NOT_DESCRIBED
from tests.docs.pages import ROOT, blocks

PAGE = "docs/sandbox.md"


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / PAGE).read_text(encoding="utf-8")


def test_the_command_serves(tmp_path: Path) -> None:
    [block] = [block for block in blocks(PAGE) if block.language == "bash"]
    command = [str(Path(sys.executable).with_name("seg")), *block.text.split()[1:], "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        page = re.search(r'"page": "([^"]+)"', process.stdout.readline())
        assert page
        assert len(httpx.get(f"{page[1]}sandbox/state", trust_env=False).json()) == len(VENDORS)
        process.send_signal(signal.SIGTERM)


def test_the_program_runs() -> None:
    [block] = [block for block in blocks(PAGE) if block.language == "python"]
    exec(compile(block.text, block.place, "exec"), {})


def test_every_setting_of_the_dial_is_explained_with_its_default(text: str) -> None:
    told = {}
    for names, defaults in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", text, re.MULTILINE):
        values = defaults.split(", ") if ", " in defaults else [defaults] * names.count(",") + [defaults]
        told |= dict(zip(re.findall(r"\w+", names), values, strict=True))
    assert told == {name: str(value).lower() for name, value in Dial().model_dump().items()} | {
        name: f"{value:g}" for name, value in Dial().model_dump().items() if isinstance(value, float)
    }


def test_every_stand_in_and_every_deviation_is_on_the_page(text: str, tmp_path: Path) -> None:
    assert all(f"| {emulation.title} |" in text for emulation in emulations(tmp_path))
    assert all(endpoint.partition(" ")[2] in text for endpoints in NOT_DESCRIBED.values() for endpoint in endpoints)
    table = text.partition("Deviations:")[2]
    elsewhere = [one for some in DOCUMENTS.values() for one in some if one.inside]
    assert len(re.findall(r"^\| (?!where|-)", table, re.MULTILINE)) == len(DEVIATIONS) + len(elsewhere)
