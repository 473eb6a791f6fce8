"""The HubSpot stand-in: what a connector meets there."""

import httpx
import pytest

from connectors.hubspot.emulation import CLIENT, PRIVATE_APP_TOKEN, REFRESH_TOKEN, SECRET, HubSpot
from connectors.sandbox.faults import Dial, Fault

CONTACTS = "/crm/objects/2026-03/contacts"
LISTS = "/crm/lists/2026-03"


@pytest.fixture
def hubspot(stand_in):
    return stand_in(HubSpot, people=5, headers={"Authorization": f"Bearer {PRIVATE_APP_TOKEN}"})


def row(email, **properties):
    return {"id": email, "idProperty": "email", "objectWriteTraceId": f"row {email}", "properties": {"email": email, **properties}}


def upsert(hubspot, *rows):
    return hubspot.call("POST", f"{CONTACTS}/batch/upsert", {"inputs": rows})


def search(hubspot, *filters, sorts=("hs_object_id",), limit=100, after="0", properties=("email",)):
    body = {"filterGroups": [{"filters": list(filters)}] if filters else [], "sorts": list(sorts), "limit": limit, "after": after}
    return hubspot.call("POST", f"{CONTACTS}/search", body | {"properties": list(properties)})


def emails(answer):
    return [one["properties"]["email"] for one in answer.json()["results"]]


def test_upsert_creates_and_changes_and_says_which(hubspot):
    answer = upsert(hubspot, row("P0@Example.com", city="Linz"), row("new@example.com", firstname="Ann"))
    assert answer.status_code == 200
    assert [(r["objectWriteTraceId"], r["new"]) for r in answer.json()["results"]] == [
        ("row P0@Example.com", False),
        ("row new@example.com", True),
    ]
    assert hubspot.store.count("contact") == 6


def test_one_bad_row_is_told_apart_and_the_others_are_kept(hubspot):
    answer = upsert(hubspot, row("p1@example.com", city="Linz"), row("no-address", city="Linz"))
    assert answer.status_code == 207
    assert [e["context"]["objectWriteTraceId"] for e in answer.json()["errors"]] == [["row no-address"]]
    assert answer.json()["numErrors"] == 1
    assert search(hubspot, {"propertyName": "city", "operator": "EQ", "value": "Linz"}).json()["total"] == 1


def test_a_row_that_takes_the_address_of_another_contact_refuses_the_whole_batch(hubspot):
    both = [row("p2@example.com", city="Linz"), row("p0@example.com") | {"properties": {"email": "p1@example.com"}}]
    assert upsert(hubspot, *both).status_code == 409
    assert search(hubspot, {"propertyName": "city", "operator": "EQ", "value": "Linz"}).json()["total"] == 0


def test_two_rows_that_want_one_address_refuse_the_whole_batch(hubspot):
    both = [row("p2@example.com"), row("p0@example.com") | {"properties": {"email": "P2@example.com"}}]
    assert upsert(hubspot, *both).status_code == 409
    assert hubspot.store.effects() == []


@pytest.mark.parametrize(
    "inputs",
    [
        [row("a@b.cc"), row("A@b.cc")],
        [row(f"{i}@b.cc") for i in range(101)],
        [],
        [row("a@b.cc", shoe_size="42")],
        [row("a@b.cc") | {"properties": {"city": 5}}],
        [row("a@b.cc") | {"idProperty": "city"}],
        [{"id": 5}],
    ],
)
def test_a_batch_that_is_no_batch_changes_nothing(hubspot, inputs):
    answer = hubspot.call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert hubspot.store.effects() == []


def test_search_pages_to_ten_thousand_and_no_further(hubspot):
    assert emails(search(hubspot, limit=2)) == ["p0@example.com", "p1@example.com"]
    assert emails(search(hubspot, limit=2, after=search(hubspot, limit=2).json()["paging"]["next"]["after"])) == ["p2@example.com", "p3@example.com"]
    assert "paging" not in search(hubspot, limit=5).json()
    assert search(hubspot, limit=200, after="9800").status_code == 200
    hubspot.clock.now += 1
    assert search(hubspot, limit=200, after="9801").status_code == 400


def test_search_by_change_and_id_reaches_every_contact(hubspot):
    hubspot.clock.now += 60
    upsert(hubspot, row("p3@example.com", city="Linz"), row("p1@example.com", city="Linz"))
    since = str(int(hubspot.clock.now * 1000))
    found = search(hubspot, {"propertyName": "lastmodifieddate", "operator": "GTE", "value": since}, sorts=("lastmodifieddate", "hs_object_id"))
    assert emails(found) == ["p1@example.com", "p3@example.com"]
    last = found.json()["results"][0]["id"]
    assert emails(search(hubspot, {"propertyName": "hs_object_id", "operator": "GT", "value": last})) == [f"p{i}@example.com" for i in (2, 3, 4)]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"operator": "EQ", "value": "P1@EXAMPLE.com"}, [1]),
        ({"operator": "NEQ", "value": "p1@example.com"}, [0, 2, 3, 4]),
        ({"operator": "IN", "values": ["p1@example.com", "p4@example.com"]}, [1, 4]),
        ({"operator": "NOT_IN", "values": ["p1@example.com", "p4@example.com"]}, [0, 2, 3]),
        ({"operator": "BETWEEN", "value": "p1", "highValue": "p3"}, [1, 2]),
        ({"operator": "CONTAINS_TOKEN", "value": "*p3*"}, [3]),
        ({"operator": "HAS_PROPERTY"}, [0, 1, 2, 3, 4]),
        ({"operator": "NOT_HAS_PROPERTY"}, []),
    ],
)
def test_search_understands_the_operators(hubspot, condition, expected):
    assert emails(search(hubspot, {"propertyName": "email", **condition})) == [f"p{i}@example.com" for i in expected]


def test_pages_of_contacts_end(hubspot):
    page = hubspot.call("GET", CONTACTS, params={"limit": 3, "properties": "email"}).json()
    rest = httpx.get(page["paging"]["next"]["link"], headers=hubspot.http.headers, trust_env=False).json()
    assert [len(page["results"]), len(rest["results"]), "paging" in rest] == [3, 2, False]


def test_archived_contacts_are_read_apart(hubspot):
    first = search(hubspot).json()["results"][0]["id"]
    assert hubspot.call("DELETE", f"{CONTACTS}/{first}").status_code == 204
    assert search(hubspot).json()["total"] == 4
    archived = hubspot.call("GET", CONTACTS, params={"archived": "true"}).json()["results"]
    assert [(one["id"], one["archived"]) for one in archived] == [(first, True)]


def test_erasure_is_final(hubspot):
    assert hubspot.call("POST", f"{CONTACTS}/gdpr-delete", {"objectId": "p0@example.com", "idProperty": "email"}).status_code == 204
    assert hubspot.call("POST", f"{CONTACTS}/gdpr-delete", {"objectId": "never@example.com", "idProperty": "email"}).status_code == 204
    answer = upsert(hubspot, row("p0@example.com"), row("never@example.com"), row("p1@example.com"))
    assert [len(answer.json()["errors"]), len(answer.json()["results"])] == [2, 1]


def test_lists_hold_contacts_as_a_set(hubspot):
    made = hubspot.call("POST", LISTS, {"name": "VIP", "objectTypeId": "0-1", "processingType": "MANUAL"}).json()["list"]["listId"]
    ids = [one["id"] for one in search(hubspot).json()["results"]]
    first = hubspot.call("PUT", f"{LISTS}/{made}/memberships/add", [ids[0], ids[1], ids[1], "999999"]).json()
    assert first == {"recordsIdsAdded": ids[:2], "recordIdsRemoved": [], "recordIdsMissing": ["999999"]}
    again = hubspot.call("PUT", f"{LISTS}/{made}/memberships/add-and-remove", {"recordIdsToAdd": [ids[1]], "recordIdsToRemove": [ids[0]]}).json()
    assert again == {"recordsIdsAdded": [], "recordIdsRemoved": [ids[0]], "recordIdsMissing": []}
    members = hubspot.call("GET", f"{LISTS}/{made}/memberships").json()
    assert ([one["recordId"] for one in members["results"]], members["total"]) == ([ids[1]], 1)
    assert hubspot.call("GET", f"{LISTS}/object-type-id/0-1/name/vip").json()["list"]["listId"] == made
    assert hubspot.store.repeated_effects() == []


def test_members_of_a_dynamic_list_and_of_no_list_can_not_be_changed(hubspot):
    made = hubspot.call("POST", LISTS, {"name": "All", "objectTypeId": "0-1", "processingType": "DYNAMIC"}).json()["list"]["listId"]
    assert hubspot.call("PUT", f"{LISTS}/{made}/memberships/add", ["1"]).status_code == 400
    assert hubspot.call("PUT", f"{LISTS}/4711/memberships/add", ["1"]).status_code == 404


def test_own_properties_can_be_keys(hubspot):
    made = {"name": "crm_id", "label": "Id", "type": "string", "fieldType": "text", "groupName": "contactinformation", "hasUniqueValue": True}
    assert hubspot.call("POST", "/crm/properties/2026-03/contacts", made).status_code == 201
    answer = upsert(hubspot, {"id": "K1", "idProperty": "crm_id", "properties": {"crm_id": "K1", "email": "k1@example.com"}})
    assert answer.json()["results"][0]["new"] is True
    again = upsert(hubspot, {"id": "K1", "idProperty": "crm_id", "properties": {"city": "Linz"}})
    assert again.json()["results"][0]["properties"]["email"] == "k1@example.com"


def test_rate_headers_count_down_and_one_call_too_many_is_told(hubspot):
    left = [int(hubspot.call("GET", CONTACTS).headers["X-HubSpot-RateLimit-Remaining"]) for _ in range(2)]
    assert left == [189, 188]
    for _ in range(188):
        hubspot.call("GET", CONTACTS)
    refused = hubspot.call("GET", CONTACTS)
    assert (refused.status_code, refused.json()["policyName"]) == (429, "TEN_SECONDLY_ROLLING")
    hubspot.clock.now += 10
    assert hubspot.call("GET", CONTACTS).status_code == 200
    hubspot.faults.turn(Dial(limits=False))
    assert {hubspot.call("GET", CONTACTS).status_code for _ in range(200)} == {200}


def test_search_has_a_limit_of_its_own_and_no_rate_headers(hubspot):
    answers = [search(hubspot) for _ in range(6)]
    assert [a.status_code for a in answers] == [200] * 5 + [429]
    assert not any(name.startswith("x-hubspot-ratelimit") for a in answers for name in a.headers)


def token(hubspot, refresh):
    form = {"grant_type": "refresh_token", "client_id": CLIENT, "client_secret": SECRET, "refresh_token": refresh}
    return hubspot.http.post("/oauth/v1/token", data=form)


def test_an_access_token_ends_and_can_be_renewed(hubspot):
    first = token(hubspot, REFRESH_TOKEN).json()
    hubspot.http.headers["Authorization"] = f"Bearer {first['access_token']}"
    assert hubspot.call("GET", CONTACTS).status_code == 200
    hubspot.clock.now += first["expires_in"]
    refused = hubspot.call("GET", CONTACTS)
    assert (refused.status_code, refused.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert token(hubspot, first["refresh_token"]).status_code == 200


def test_a_refresh_token_good_once_is_refused_the_second_time(hubspot):
    hubspot.faults.turn(Dial(single_use_refresh=True))
    second = token(hubspot, REFRESH_TOKEN).json()["refresh_token"]
    assert token(hubspot, REFRESH_TOKEN).status_code == 400
    hubspot.faults.coming.append(Fault(500, applied=True))
    assert token(hubspot, second).status_code == 500
    assert token(hubspot, second).status_code == 400


def test_without_a_key_nobody_gets_in(hubspot):
    hubspot.http.headers["Authorization"] = "Bearer wrong"
    assert hubspot.call("GET", CONTACTS).json()["category"] == "INVALID_AUTHENTICATION"


def test_unknown_versions_and_paths_are_not_found(hubspot):
    assert hubspot.call("GET", "/crm/objects/2031-09/contacts").status_code == 404
    assert hubspot.call("GET", "/crm/v3/objects/contacts").status_code == 200
    assert hubspot.call("GET", "/nothing/here").status_code == 404


def test_without_limits_nothing_is_counted_and_nothing_told(hubspot):
    hubspot.faults.turn(Dial(limits=False))
    answers = [hubspot.call("GET", CONTACTS) for _ in range(200)]
    assert {one.status_code for one in answers} == {200}
    assert not [name for name in answers[-1].headers if "ratelimit" in name.lower()]
