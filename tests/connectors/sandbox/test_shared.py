"""Stand-ins of one folder are served once, by whoever comes first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from connectors.errors import DestinationError
from connectors.sandbox.shared import shared

CHILD = """
import sys
from pathlib import Path
from connectors.sandbox.shared import shared

with shared(Path(sys.argv[1]), ["webhook"]) as (served, started):
    print(served.page, len(started), flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_where_the_first_one_serves(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout
    assert other.stdin
    page, started = other.stdout.readline().split()
    with shared(tmp_path, ["webhook"]) as (served, mine):
        assert (served.page, started, list(mine)) == (page, "1", [])
        assert httpx.get(page, trust_env=False).status_code == 200
    other.stdin.close()
    assert other.wait(20) == 0
    other.stdout.close()
    with shared(tmp_path, ["webhook"]) as (served, mine):
        assert [one.name for one in mine] == ["webhook"]
        assert httpx.get(served.page, trust_env=False).status_code == 200


def test_where_they_are_is_not_known_before_they_are_served(tmp_path: Path) -> None:
    with shared(tmp_path, ["webhook"]):
        (tmp_path / "address").unlink()
        with pytest.raises(DestinationError, match="just being started by another process"), shared(tmp_path):
            raise AssertionError("nobody is served")
