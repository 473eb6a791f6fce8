"""The pytest plug-in in a project of somebody else's: found without being asked for, and its table tells kept laws from broken ones."""

import os
import subprocess
import sys
from pathlib import Path

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


def test_the_table_tells_kept_laws_from_broken_ones_and_from_those_that_do_not_apply(tmp_path, pytestconfig):
    (tmp_path / "test_mine.py").write_text(CONTRACT)
    laws = "class_conforms or refused_row or members_arrive or renewed"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-k",
        laws,
        "--seg-conformance",
        "table.md",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        ".",
        "test_mine.py",
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": f"{pytestconfig.rootpath}{os.pathsep}{ACME}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    table = (tmp_path / "table.md").read_text()
    assert "| DestinationContract | acme |" in table
    assert "| the class conforms | ✓ |" in table
    assert "| a refused row is rejected and harms no other | ✗ |" in table
    assert "assert {} == " in done.stdout or "assert set() == " in done.stdout, "assertions of the kit are not rewritten"


def test_a_table_that_stands_in_a_page_is_renewed_there(tmp_path, pytestconfig):
    (tmp_path / "test_mine.py").write_text("from seg_connector_acme.contracts import Source\n\nclass TestMine(Source): ...\n")
    (tmp_path / "page.md").write_text("# Mine\n\n<!-- conformance: begin -->\nold\n<!-- conformance: end -->\nthe rest\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-k",
        "class_conforms",
        "--seg-conformance",
        "page.md",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        ".",
    ]
    environment = {"PYTHONPATH": f"{pytestconfig.rootpath}{os.pathsep}{ACME}", "PATH": ""}
    subprocess.run([*command, "test_mine.py"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# Mine\n\n<!-- conformance: begin -->\n| SourceContract | acme |")
    assert page.endswith("does not apply\n<!-- conformance: end -->\nthe rest\n")
    assert "old" not in page
