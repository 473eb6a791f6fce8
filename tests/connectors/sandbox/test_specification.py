"""The judge itself: what it sees, what it can't see, and the same through Prism. Every other test of a stand-in is judged too, see conftest."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import httpx
import pytest

from connectors.hubspot.emulation import PRIVATE_APP_TOKEN, HubSpot
from connectors.sandbox.server import VENDORS
from tests.connectors.sandbox.specification import ABSENT, SPECS, Judge, documents

PRISM = os.environ.get("SEG_PRISM")
NOT_DESCRIBED = {
    "braze": set(),
    "customerio": set(),
    "hubspot": {"POST /oauth/v1/token"},
    "marketo": {"GET /rest/v1/lead/1.json"},
    "onetrust": {"POST /api/access/v1/oauth/token"},
    "people_data_labs": {"POST /v5/person/bulk"},
    "webhook": {"POST /deliver"},
    "salesforce": {"POST /services/data/v67.0/composite/sobjects", "PATCH /services/data/v67.0/composite/sobjects"},
}
"""Endpoints no document describes; docs/sandbox.md says where their facts are from."""

described = pytest.mark.skipif(not SPECS.is_dir(), reason=ABSENT)
HEADERS = {"Authorization": f"Bearer {PRIVATE_APP_TOKEN}"}
UPSERT = "/crm/objects/2026-03/contacts/batch/upsert"
ROW = {"id": "ann@example.com", "idProperty": "email", "properties": {"email": "ann@example.com"}}


@described
@pytest.mark.parametrize("vendor", VENDORS)
def test_every_endpoint_is_described_or_known_not_to_be(vendor, tmp_path):
    emulation = import_module(f"connectors.{vendor}.emulation").EMULATION(tmp_path / "state.sqlite")
    samples = {"version": "67.0" if vendor == "salesforce" else "2026-03", "locator": "a-1"}
    paths = {(e.method, re.sub(r"\{(\w+)\}", lambda name: samples.get(name[1], "1"), e.path)) for e in emulation.endpoints()}
    paths |= {(method, path.replace("2026-03", "2026-09")) for method, path in paths}
    unknown = {f"{method} {path}" for method, path in paths if not any(one.operation(method, path) for one in documents(vendor))}
    assert unknown == NOT_DESCRIBED[vendor]


def exchange(answer: httpx.Response, *, method: str = "POST", path: str = UPSERT, **request: object) -> list[str]:
    judge = Judge("hubspot", "")
    answer.request = httpx.Request(method, f"http://127.0.0.1{path}", **request)  # type: ignore[arg-type]
    judge.look(answer)
    return judge.faults


DONE = {"status": "COMPLETE", "results": [], "startedAt": "2026-01-01T00:00:00Z", "completedAt": "2026-01-01T00:00:00Z"}


@described
def test_what_is_as_described_passes():
    assert exchange(httpx.Response(200, json=DONE), json={"inputs": [ROW]}) == []


@described
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={name: value for name, value in DONE.items() if name != "completedAt"}),
        httpx.Response(200, json=DONE | {"status": "DONE"}),
        httpx.Response(200, json=DONE | {"startedAt": "yesterday"}),
        httpx.Response(200, json=DONE | {"results": [{"id": 5}]}),
        httpx.Response(202, json=DONE),
    ],
)
def test_an_answer_that_is_not_as_described_is_seen(answer):
    assert [fault for fault in exchange(answer, json={"inputs": [ROW]}) if "answer" in fault]


@described
@pytest.mark.parametrize("body", [{}, {"inputs": [{"id": 5}]}, {"inputs": [ROW | {"properties": {"city": 5}}]}])
def test_a_request_that_is_not_as_described_but_was_taken_is_seen(body):
    assert [fault for fault in exchange(httpx.Response(200, json=DONE), json=body) if "request" in fault]
    assert not [fault for fault in exchange(httpx.Response(207, json=DONE), json=body) if "request" in fault]


@described
def test_a_parameter_that_is_missing_or_of_the_wrong_kind_is_seen():
    page = {"results": []}
    path = "/crm/objects/2026-03/contacts"
    assert exchange(httpx.Response(200, json=page), method="GET", path=f"{path}?limit=10") == []
    assert "limit" in exchange(httpx.Response(200, json=page), method="GET", path=f"{path}?limit=ten")[0]


@contextmanager
def prism(document: Path, upstream: str) -> Iterator[str]:
    """Prism between a client and a stand-in: it refuses requests and answers that are not as the document says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["node", str(PRISM), "proxy", "-h", "127.0.0.1", "-p", str(port), "--errors", str(document), upstream]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                if "listening" in line:
                    break
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@described
@pytest.mark.prism
@pytest.mark.skipif(not PRISM, reason="SEG_PRISM does not name Prism's dist/index.js, see docs/sandbox.md")
def test_prism_lets_pass_what_the_stand_in_says_and_refuses_what_it_should_not_be_told(stand_in):
    hubspot = stand_in(HubSpot, people=3, headers=HEADERS)
    upstream = str(hubspot.http.base_url).rstrip("/")
    with prism(SPECS / "hubspot/prism-ready/contacts.2026-03.json", upstream) as address, httpx.Client(base_url=address, trust_env=False) as client:
        client.headers.update(HEADERS)
        contacts = "/crm/objects/2026-03/contacts"
        search = {"filterGroups": [], "sorts": [], "properties": ["email"], "limit": 10, "after": "0"}
        told = [
            client.post(UPSERT, json={"inputs": [ROW]}),
            client.post(UPSERT, json={"inputs": [ROW, {"id": "no address", "idProperty": "email", "properties": {"city": "Graz"}}]}),
            client.get(contacts, params={"limit": 2}),
            client.post(f"{contacts}/search", json=search),
            client.post(f"{contacts}/batch/read", json={"inputs": [{"id": "1"}], "properties": ["email"], "propertiesWithHistory": []}),
            client.post(f"{contacts}/gdpr-delete", json={"objectId": "p0@example.com", "idProperty": "email"}),
        ]
        assert [answer.status_code for answer in told] == [200, 207, 200, 200, 200, 204]
        assert client.post(UPSERT, json={"rows": []}).status_code == 422
        assert hubspot.emulation.served == len(told)
