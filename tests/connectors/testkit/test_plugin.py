"""The pytest plug-in in a project of somebody else's: found without being asked for, and its table tells kept laws from broken ones."""

import os
import subprocess
import sys
from pathlib import Path

from connectors.pytest_plugin import differences

ACME = Path(__file__).parents[2] / "packages" / "seg-connector-acme"
CONTRACT = """
from connectors.testkit import DestinationContract
from seg_connector_acme import contracts
from seg_connector_acme.connectors import ACKED, AcmeDestination


class SaysYes(AcmeDestination):
    def deliver(self, object, batch, context):
        return {one.op_id: ACKED for one in batch}


class TestMine(contracts.Destination):
    connector = SaysYes
"""


def run(folder, root, *arguments):
    """Runs the contracts in a folder as somebody else's project would."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", *arguments, "test_mine.py"]
    environment = {"PYTHONPATH": f"{root}{os.pathsep}{ACME}", "PATH": ""}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_table_tells_kept_laws_from_broken_ones_and_from_those_that_do_not_apply(tmp_path, pytestconfig):
    (tmp_path / "test_mine.py").write_text(CONTRACT)
    laws = "class_conforms or refused_row or members_arrive or renewed"
    done = run(tmp_path, pytestconfig.rootpath, "-k", laws, "--seg-conformance", "table.md")
    assert done.returncode == 1, done.stdout + done.stderr
    table = (tmp_path / "table.md").read_text()
    assert "| DestinationContract | acme |" in table
    assert "| the class conforms | ✓ |" in table
    assert "| a refused row is rejected and harms no other | ✗ |" in table
    assert "assert {} == " in done.stdout or "assert set() == " in done.stdout, "assertions of the kit are not rewritten"


MINE = """
from seg_connector_acme.contracts import Source


class TestMine(Source):
    pass


for law in [name for base in Source.__mro__ for name in vars(base) if name.startswith("test_") and "class_conforms" not in name]:
    setattr(TestMine, law, None)
"""


def test_a_run_that_finds_something_else_than_the_page_says_fails(tmp_path, pytestconfig):
    (tmp_path / "test_mine.py").write_text(MINE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nseg_conformance = page.md\n")
    page = "# Mine\n\n<!-- conformance: begin -->\n| SourceContract | acme |\n|---|:-:|\n| the class conforms | – |\n<!-- conformance: end -->\nthe rest\n"
    (tmp_path / "page.md").write_text(page)
    done = run(tmp_path, pytestconfig.rootpath)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "acme, SourceContract: 'the class conforms' is ✓, and the page says –" in done.stdout
    assert run(tmp_path, pytestconfig.rootpath, "--seg-conformance", "page.md").returncode == 0
    renewed = (tmp_path / "page.md").read_text()
    assert renewed.startswith("# Mine\n\n<!-- conformance: begin -->\n| SourceContract | acme |")
    assert renewed.endswith("does not apply\n<!-- conformance: end -->\nthe rest\n")
    assert run(tmp_path, pytestconfig.rootpath).returncode == 0


def test_what_the_page_does_not_speak_of_is_no_difference():
    page = "| SourceContract | mine |\n|---|:-:|\n| one law | ✓ |\n"
    told = {"one law": "passed", "another": "skipped"}
    assert differences(page, {("mine", "SourceContract"): {"one law": "passed"}, ("yours", "SourceContract"): told}) == []
    assert differences(page, {("mine", "SourceContract"): told}) == ["mine, SourceContract: 'another' is –, and the page says nothing"]
