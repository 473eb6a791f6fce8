"""Specs: read, refused, overridden."""

from pathlib import Path

import pytest
from pydantic import ValidationError

import connectors
from connectors.http import HttpSpec, load_spec

SPEC = """
base_url: https://api.vendor.example
source: "https://docs.vendor.example/rows"
read_on: 2026-11-22
hosts: ["*.vendor.example"]
auth: {type: bearer}
budgets:
  burst: {match: /crm/*, windows: [{n: 100, per: 10s, remaining: X-Left}, {n: 250000, per: 1d}], source: "https://docs.vendor.example", read_on: 2026-11-22}
rules:
  - {status: 429, do: RATE_LIMITED}
endpoints:
  upsert: {method: POST, path: /crm/upsert, max_rows: 100}
"""


@pytest.fixture
def spec_file(tmp_path):
    (tmp_path / "http.yaml").write_text(SPEC)
    return tmp_path / "http.yaml"


def test_limits_say_where_they_are_from_and_an_account_may_have_others(spec_file):
    spec = load_spec(spec_file)
    assert [(window.n, window.per) for window in spec.budgets["burst"].windows] == [(100, 10), (250_000, 86_400)]
    own = spec.with_overrides({"budgets": {"burst": {"windows": [{"n": 190, "per": "10s"}]}}, "endpoints": {"upsert": {"max_rows": 50}}})
    assert ([window.n for window in own.budgets["burst"].windows], own.budgets["burst"].source) == ([190], "https://docs.vendor.example")
    assert (own.endpoints["upsert"].max_rows, own.endpoints["upsert"].method) == (50, "POST")
    assert load_spec(spec_file, timeout="5s").timeout == 5


@pytest.mark.parametrize(
    ("host", "allowed"), [("api.vendor.example", True), ("eu.vendor.example", True), ("a.b.vendor.example", False), ("vendor.example.evil", False)]
)
def test_requests_go_to_known_hosts_only(spec_file, host, allowed):
    assert load_spec(spec_file).reaches(host) is allowed


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "http://api.vendor.example"},
        {"base_url": "https://u:p@api.vendor.example"},
        {"timeout": "ten"},
        {"timeout": 0},
        {"auth": {"type": "magic"}},
        {"budgets": {"burst": {"match": "/other/*"}}},
        {"budgets": {"burst": {"source": None}}},
        {"endpoints": {"upsert": {"path": "crm"}}},
        {"endpoints": {"upsert": {"max_rows": 0}}},
        {"unknown": 1},
        {"source": None},
    ],
)
def test_a_spec_that_makes_no_sense_is_refused_when_it_is_read(spec_file, change):
    with pytest.raises(ValidationError):
        load_spec(spec_file, **change)


@pytest.mark.parametrize("file", sorted(Path(connectors.__file__).parent.glob("*/http.yaml")), ids=lambda file: file.parent.name)
def test_every_spec_of_ours_is_valid(file):
    assert isinstance(load_spec(file), HttpSpec)


def test_only_one_module_imports_httpx():
    sources = Path(connectors.__file__).parent.rglob("*.py")
    importing = [file.parent.name + "/" + file.name for file in sources if "import httpx" in file.read_text(encoding="utf-8")]
    assert importing == ["http/client.py"]
