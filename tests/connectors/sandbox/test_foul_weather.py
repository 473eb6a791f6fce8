"""A patient sender through a bad day: what the stand-ins hold in the end is what was sent, and what was done twice is seen."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from connectors.braze.emulation import API_KEY, Braze
from connectors.customerio.emulation import SITE_ID, TRACK_KEY, CustomerIo
from connectors.hubspot.emulation import PRIVATE_APP_TOKEN, HubSpot
from connectors.marketo import emulation as marketo
from connectors.salesforce import emulation as salesforce
from connectors.sandbox.emulation import Emulation
from connectors.sandbox.faults import Dial

ROWS = 1500
WEATHER = Dial(
    too_many=0.05, unavailable=0.02, storm=3, server_error=0.05, lost_before=0.05, lost_after=0.05, expired_token=0.03, partial=0.05,
    rejected=0.01, limits=False, seed=11,
)  # fmt: skip


@dataclass(frozen=True)
class Way:
    """How rows are sent to a vendor.

    Args:
        kind: the stand-in.
        batch: rows per request.
        sign_in: makes the headers.
        send: one request for keys.
        failed: positions of the rows an answer refuses, and whether for good; None where the whole request has to be repeated.
        held: keys the stand-in holds.
    """

    kind: type[Emulation]
    batch: int
    sign_in: Callable[[httpx.Client], Mapping[str, str]]
    send: Callable[[httpx.Client, Sequence[str]], httpx.Response]
    failed: Callable[[httpx.Response, Sequence[str]], Mapping[str, bool] | None]
    held: Callable[[Emulation], set[str]]


def keys_of(kind: str, name: str) -> Callable[[Emulation], set[str]]:
    return lambda emulation: {value for (value,) in emulation.store.query("select value from keys where kind = ? and name = ?", (kind, name))}


def hubspot_failed(answer: httpx.Response, keys: Sequence[str]) -> Mapping[str, bool] | None:
    if answer.status_code not in {200, 207}:
        return None
    return {one["context"]["id"][0]: one["category"] == "VALIDATION_ERROR" for one in answer.json().get("errors", [])}


def salesforce_failed(answer: httpx.Response, keys: Sequence[str]) -> Mapping[str, bool] | None:
    if answer.status_code != 200:
        return None
    results = zip(keys, answer.json(), strict=True)
    return {key: one["errors"][0]["statusCode"] != "UNABLE_TO_LOCK_ROW" for key, one in results if not one["success"]}


def braze_failed(answer: httpx.Response, keys: Sequence[str]) -> Mapping[str, bool] | None:
    if answer.status_code != 201:
        return None
    return {keys[one["index"]]: "rejected" in one["type"] for one in answer.json().get("errors", [])}


def marketo_failed(answer: httpx.Response, keys: Sequence[str]) -> Mapping[str, bool] | None:
    if answer.status_code != 200 or not answer.json()["success"]:
        return None
    results = zip(keys, answer.json()["result"], strict=True)
    return {key: one["reasons"][0]["code"] != "611" for key, one in results if one["status"] == "skipped"}


def customerio_failed(answer: httpx.Response, keys: Sequence[str]) -> Mapping[str, bool] | None:
    if answer.status_code not in {200, 207}:
        return None
    return {keys[one["batch_index"]]: one["reason"] == "invalid" for one in answer.json().get("errors", [])}


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def token(answer: httpx.Response) -> Mapping[str, str]:
    """Headers with the token of an answer; a token nobody gave out where it holds none."""
    told = answer.json()
    return bearer(told.get("access_token", "none") if isinstance(told, dict) else "none")


def salesforce_token(client: httpx.Client) -> Mapping[str, str]:
    form = {"grant_type": "client_credentials", "client_id": salesforce.CLIENT, "client_secret": salesforce.SECRET}
    return token(client.post("/services/oauth2/token", data=form))


def marketo_token(client: httpx.Client) -> Mapping[str, str]:
    form = {"grant_type": "client_credentials", "client_id": marketo.CLIENT, "client_secret": marketo.SECRET}
    return token(client.get("/identity/oauth/token", params=form))


def post(path: str, body: Callable[[Sequence[str]], Any], method: str = "POST") -> Callable[[httpx.Client, Sequence[str]], httpx.Response]:
    return lambda client, keys: client.request(method, path, json=body(keys))


def hubspot_rows(keys: Sequence[str]) -> Any:
    return {"inputs": [{"id": key, "idProperty": "email", "properties": {"email": key, "city": "Graz"}} for key in keys]}


def salesforce_rows(keys: Sequence[str]) -> Any:
    return {"allOrNone": False, "records": [{"attributes": {"type": "Contact"}, "Seg_Id__c": key, "LastName": "Someone"} for key in keys]}


def customerio_rows(keys: Sequence[str]) -> Any:
    return {"batch": [{"type": "person", "identifiers": {"id": key}, "action": "identify", "attributes": {"vip": True}} for key in keys]}


WAYS = {
    "hubspot": Way(
        HubSpot, 100, lambda _: bearer(PRIVATE_APP_TOKEN), post("/crm/v3/objects/contacts/batch/upsert", hubspot_rows),
        hubspot_failed, keys_of("contact", "email"),
    ),
    "salesforce": Way(
        salesforce.Salesforce, 200, salesforce_token,
        post("/services/data/v67.0/composite/sobjects/Contact/Seg_Id__c", salesforce_rows, "PATCH"), salesforce_failed, keys_of("Contact", "Seg_Id__c"),
    ),
    "braze": Way(
        Braze, 75, lambda _: bearer(API_KEY), post("/users/track", lambda keys: {"attributes": [{"external_id": key, "vip": True} for key in keys]}),
        braze_failed, keys_of("user", "external_id"),
    ),
    "marketo": Way(
        marketo.Marketo, 300, marketo_token, post("/rest/v1/leads.json", lambda keys: {"input": [{"email": key} for key in keys]}),
        marketo_failed, keys_of("lead", "email"),
    ),
    "customerio": Way(
        CustomerIo, 150, lambda _: {"Authorization": f"Basic {base64.b64encode(f'{SITE_ID}:{TRACK_KEY}'.encode()).decode()}"},
        post("/api/v2/batch", customerio_rows), customerio_failed, keys_of("person", "id"),
    ),
}  # fmt: skip


def deliver(client: httpx.Client, way: Way, keys: Sequence[str]) -> set[str]:
    """Sends until every row was taken or refused for good; those refused."""
    waiting, refused = [list(keys[i : i + way.batch]) for i in range(0, len(keys), way.batch)], set[str]()
    for _ in range(500):
        if not waiting:
            return refused
        batch = waiting.pop()
        try:
            client.headers.update(way.sign_in(client))
            failed = way.failed(way.send(client, batch), batch)
        except (httpx.TransportError, ValueError):
            failed = None
        again = batch if failed is None else [key for key, for_good in failed.items() if not for_good]
        refused |= {key for key, for_good in (failed or {}).items() if for_good}
        waiting += [again] if again else []
    raise AssertionError(f"{len(waiting)} batches are still not taken")


@pytest.mark.parametrize("vendor", WAYS)
def test_everything_sent_again_until_it_is_taken_is_held_once(vendor, stand_in):
    way = WAYS[vendor]
    served = stand_in(way.kind)
    served.faults.turn(WEATHER)
    keys = [f"p{i}@example.com" for i in range(ROWS)]
    refused = deliver(served.http, way, keys)
    assert 3 <= len(refused) <= 40
    assert way.held(served.emulation) == set(keys) - refused
    assert served.store.repeated_effects() == []
    assert {"429 (not applied)", "cut (applied)"} <= {seen.fault for seen in served.emulation.seen}


def test_events_sent_again_after_a_lost_answer_are_seen_as_repeated(stand_in):
    braze = stand_in(Braze, headers=dict(bearer(API_KEY)))
    braze.faults.turn(Dial(lost_after=0.3, limits=False, seed=2))
    lost = 0
    for i in range(60):
        event = {"external_id": f"u{i}", "name": "entered", "time": "2026-01-01T00:00:00Z"}
        for _ in range(50):
            try:
                braze.call("POST", "/users/track", {"events": [event]})
                break
            except httpx.TransportError:
                lost += 1
    assert lost > 5
    assert len(braze.store.repeated_effects()) == lost == braze.store.count("event") - 60
