"""Whatever is sent, a stand-in answers in its vendor's words: no request makes it fail by itself."""

from __future__ import annotations

import json
import re
from importlib import import_module

import pytest

from connectors.sandbox.faults import Dial
from connectors.sandbox.server import VENDORS

VALUES = (None, True, -1, 10**30, "", "x", "\x00", [], [None], ["x"], {}, {"x": []}, [{}], [[{}]])
KEYS = (
    "inputs", "records", "input", "batch", "attributes", "events", "requests", "purposes", "subscription_groups", "filterGroups", "sorts", "ids",
    "external_ids", "user_aliases", "fields_to_export", "fields", "filter", "segment", "name", "operation", "query", "object", "state", "identifier",
    "objectId", "idProperty", "limit", "after", "params", "properties", "recordIdsToAdd", "recordIdsToRemove", "operations",
)  # fmt: skip
"""Words the vendors' bodies are made of."""


def bodies():
    yield from (b"", b"\xff", b"{", b"[" * 5000, b'{"a": "\\ud800"}')
    yield from (json.dumps(value).encode() for value in VALUES)
    for value in VALUES:
        yield json.dumps(dict.fromkeys(KEYS, value)).encode()
        yield json.dumps(
            {key: [dict.fromkeys((*KEYS, "id", "Id", "type", "identifiers", "email", "external_id", "fields", "key"), value)] for key in KEYS}
        ).encode()
    yield json.dumps({"filterGroups": [{"filters": [{"propertyName": "email", "operator": "IN", "values": [[]]}]}], "limit": 5}).encode()
    yield json.dumps({"attributes": [{"external_id": "a", "tags": {"add": [[]]}}, {"external_id": "b", "n": {"inc": "x"}}]}).encode()


QUERY = (
    "limit", "after", "q", "ids", "id", "batchSize", "nextPageToken", "size", "start", "locator", "maxRecords", "filterType", "filterValues",
    "updatedSince", "updatedUntil", "fromDate", "toDate", "email", "min_likelihood", "sinceDatetime", "name",
)  # fmt: skip
"""Names of the vendors' parameters."""


def queries():
    yield {}
    yield from (dict.fromkeys(QUERY, value) for value in ("x", "-1", "", "1e9", "\x00", "9" * 40))
    yield {"filterType": "email", "filterValues": "a", "nextPageToken": "GE======", "q": "SELECT Id FROM Contact LIMIT x", "limit": "1"}


@pytest.mark.parametrize("vendor", VENDORS)
def test_junk_is_answered_in_the_vendors_words(vendor, stand_in, monkeypatch):
    kind = import_module(f"connectors.{vendor}.emulation").EMULATION
    monkeypatch.setattr(kind, "admit", lambda self, call: None)  # so that junk reaches what is behind the door
    served = stand_in(kind, people=3)
    served.faults.turn(Dial(limits=False))
    served.http.event_hooks = {}  # what is junk need not be as the specification says
    version = "67.0" if vendor == "salesforce" else "2026-03"
    for endpoint in served.emulation.endpoints():
        if vendor == "hubspot" and "{version}" in endpoint.path:
            continue  # the same as in v3
        for sample in ("1", "x", "9" * 40):
            path = re.sub(r"\{(\w+)\}", lambda name, sample=sample: version if name[1] == "version" else sample, endpoint.path)
            sent = [{"content": body} for body in bodies()] if sample == "1" and endpoint.method in {"POST", "PUT", "PATCH"} else []
            sent += [{"params": query} for query in queries()] if "{" in endpoint.path or sample == "1" else []
            answers = [served.http.request(endpoint.method, path, **one) for one in sent]
            assert max((answer.status_code for answer in answers), default=0) < 500, path
