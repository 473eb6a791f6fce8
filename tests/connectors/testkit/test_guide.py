"""The guide to vendors holds: its example is written as it stands there, and keeps its contract."""

import re
import subprocess
import sys

import pytest

from connectors.about import ABOUT, built_in_page
from connectors.discovery import BUILT_INS
from connectors.registry import load_registry
from connectors.testkit import ConsentContract, DestinationContract, EnricherContract, SourceContract
from seg_assets.sdk import Action
from tests.docs.pages import ROOT, blocks

PAGE = "docs/vendors.md"
TABLE = "docs/connectors.md"


def test_the_example_keeps_its_contract(tmp_path):
    for block in blocks(PAGE):
        if block.file:
            file = tmp_path / block.file
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text)
    (command,) = [block.text.split() for block in blocks(PAGE) if block.language == "bash" and "no-run" not in block.tags]
    assert command[0] == "pytest"
    done = subprocess.run([sys.executable, "-m", *command, "-p", "no:cacheprovider"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "| a refused row is rejected and harms no other | ✓ |" in (tmp_path / "conformance.md").read_text()


@pytest.mark.parametrize("contract", [SourceContract, DestinationContract, EnricherContract, ConsentContract])
def test_the_table_shows_every_law_and_every_built_in_connector_and_nothing_broken(contract):
    text = (ROOT / TABLE).read_text(encoding="utf-8")
    head, _, *lines = re.search(rf"^\| {contract.__name__} \|.*?(?=\n\n)", text, re.MULTILINE | re.DOTALL)[0].splitlines()
    laws = {name.removeprefix("test_").replace("_", " ") for base in contract.__mro__ for name in vars(base) if name.startswith("test_")}
    assert {line.split("|")[1].strip() for line in lines} == laws
    assert not [line for line in lines if "✗" in line]
    offered = load_registry().connectors[contract.__name__.removesuffix("Contract").lower().replace("consent", "consent provider")]
    assert {name.strip() for name in head.split("|")[2:-1]} == set(offered) - {"shop"}


def test_the_guide_names_every_action_and_built_in_vendor():
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert [action for action in Action if f"`{action.value}`" not in text] == []
    vendors = [file.parent.name for file in (ROOT / "connectors").glob("*/http.yaml") if file.parent.name != "webhook"]
    assert [name for name in vendors if f"[`{name}`](vendors/{name}.md)" not in text] == []


@pytest.mark.parametrize("name", BUILT_INS)
def test_the_page_of_a_connector_is_what_its_classes_say_of_themselves(name):
    assert (ROOT / "docs" / "vendors" / f"{name}.md").read_text(encoding="utf-8") == built_in_page(load_registry(), name)
    assert (ROOT / "connectors" / name / ABOUT).read_text(encoding="utf-8").strip()
