"""The Customer.io stand-in: what a connector meets there."""

import pytest

from connectors.customerio.emulation import APP_KEY, SITE_ID, TRACK_KEY, CustomerIo
from connectors.sandbox.faults import Dial, Fault

APP = {"Authorization": f"Bearer {APP_KEY}"}


@pytest.fixture
def cio(stand_in):
    vendor = stand_in(CustomerIo, people=4)
    vendor.http.auth = (SITE_ID, TRACK_KEY)
    return vendor


def app(cio, method, path, body=None, **more):
    return cio.call(method, path, body, auth=lambda request: request, headers=APP, **more)


def item(who, action="identify", **more):
    return {"type": "person", "identifiers": {"id": who}, "action": action, **more}


def batch(cio, *items):
    return cio.call("POST", "/api/v2/batch", {"batch": items})


def person(cio, who):
    return cio.store.find("person", "id", [who])[who][0].body


def test_people_are_made_and_their_attributes_merged(cio):
    answer = batch(cio, item("u1", attributes={"vip": True, "city": ""}), item("new", attributes={"email": "new@example.com"}))
    assert (answer.status_code, answer.json()) == (200, {})
    assert person(cio, "u1")["attributes"] == {"first_name": "First1", "last_name": "Last1", "country": "AT", "vip": True}
    assert person(cio, "new")["email"] == "new@example.com"
    batch(cio, {"type": "person", "identifiers": {"email": "New@example.com"}, "action": "identify", "attributes": {"vip": 1}})
    assert person(cio, "new")["attributes"] == {"vip": 1}


def test_one_batch_may_name_somebody_new_twice(cio):
    batch(cio, item("new", attributes={"a": 1}), item("new", attributes={"b": 2}))
    assert (cio.store.count("person"), person(cio, "new")["attributes"]) == (5, {"a": 1, "b": 2})


def test_bad_items_are_told_by_their_place_and_the_others_are_kept(cio):
    answer = batch(cio, item("u1", attributes={"vip": True}), item("u2", "fly"), {"type": "person", "action": "identify"}, item("u3", "event"))
    assert answer.status_code == 207
    assert [(e["batch_index"], e["field"]) for e in answer.json()["errors"]] == [(1, "action"), (2, "identifiers"), (3, "name")]
    assert person(cio, "u1")["attributes"]["vip"] is True


@pytest.mark.parametrize(
    "attributes", [{"x" * 151: 1}, {"x": "y" * 1001}, {str(i): i for i in range(301)}, {f"n{i}": "y" * 999 for i in range(40)}, [1]]
)
def test_items_beyond_the_sizes_are_refused_alone(cio, attributes):
    answer = batch(cio, item("u1", attributes=attributes), item("u2", attributes={"vip": True}))
    assert [e["batch_index"] for e in answer.json()["errors"]] == [0]


def test_a_batch_that_is_too_large_or_empty_is_refused_whole(cio):
    big = [item(f"n{i}", attributes={f"a{j}": "y" * 900 for j in range(20)}) for i in range(30)]
    assert batch(cio, *big).status_code == batch(cio).status_code == cio.call("POST", "/api/v2/batch", []).status_code == 400
    assert cio.store.count("person") == 4


def test_an_event_with_an_id_is_kept_once(cio):
    for more in ({"id": "01HB4HBDKTFWYZCK01DMRSWRFD"}, {"id": "01HB4HBDKTFWYZCK01DMRSWRFD"}, {}, {}):
        batch(cio, item("u1", "event", name="entered", attributes={"segment": "vip"}, **more))
    assert cio.store.count("event") == 3


def test_suppressed_people_are_erased_and_stay_away(cio):
    assert cio.call("POST", "/api/v1/customers/u1/suppress").status_code == 200
    assert batch(cio, item("u1", attributes={"vip": True})).status_code == 200
    assert cio.store.count("person") == 3
    cio.call("POST", "/api/v1/customers/u1/unsuppress")
    batch(cio, item("u1", attributes={"vip": True}))
    assert person(cio, "u1")["attributes"] == {"vip": True}


def test_the_first_version_of_the_api_does_the_same(cio):
    assert cio.call("PUT", "/api/v1/customers/u1", {"vip": True}).status_code == 200
    assert cio.call("PUT", "/api/v1/customers/p2%40example.com", {"vip": True}).status_code == 200
    assert person(cio, "u1")["attributes"]["vip"] is person(cio, "u2")["attributes"]["vip"] is True
    assert cio.call("POST", "/api/v1/customers/u1/events", {"name": "entered", "data": {"a": 1}}).status_code == 200
    assert cio.call("DELETE", "/api/v1/customers/u1").status_code == 200
    assert (cio.store.count("person"), cio.store.count("event")) == (3, 1)


def test_manual_segments_hold_people_as_a_set(cio):
    made = app(cio, "POST", "/v1/segments", {"segment": {"name": "VIP"}}).json()["segment"]["id"]
    assert cio.call("POST", f"/api/v1/segments/{made}/add_customers", {"ids": ["u0", "u1", "nobody"]}).status_code == 200
    assert cio.call("POST", f"/api/v1/segments/{made}/add_customers?id_type=email", {"ids": ["p1@example.com", "p2@example.com"]}).status_code == 200
    assert cio.call("POST", f"/api/v1/segments/{made}/remove_customers", {"ids": ["u0"]}).status_code == 200
    assert app(cio, "GET", f"/v1/segments/{made}/customer_count").json() == {"segment_id": made, "count": 2}
    first = app(cio, "GET", f"/v1/segments/{made}/membership", params={"limit": 1}).json()
    rest = app(cio, "GET", f"/v1/segments/{made}/membership", params={"start": first["next"]}).json()
    assert (first["ids"], rest["ids"], rest["next"]) == (["u1"], ["u2"], "")
    assert [one["name"] for one in app(cio, "GET", "/v1/segments").json()["segments"]] == ["VIP"]
    assert app(cio, "DELETE", f"/v1/segments/{made}").status_code == 204
    assert app(cio, "GET", f"/v1/segments/{made}").status_code == 404
    assert cio.store.repeated_effects() == []


def test_the_two_apis_have_keys_and_limits_of_their_own(cio):
    assert app(cio, "POST", "/api/v2/batch", {"batch": [item("u1")]}).status_code == 401
    assert cio.call("GET", "/v1/segments").status_code == 401
    answers = [app(cio, "GET", "/v1/segments") for _ in range(11)]
    assert [a.status_code for a in answers] == [200] * 10 + [429]
    assert not any("rate" in name or name == "retry-after" for name in answers[-1].headers)
    assert batch(cio, item("u1")).status_code == 200


def test_faults_reach_single_items(cio):
    cio.faults.coming.append(Fault(partial=True, applied=True))
    busy = batch(cio, *(item(f"u{i}", attributes={"x": i}) for i in range(4)))
    assert [(e["batch_index"], e["reason"]) for e in busy.json()["errors"]] == [(0, "conflict"), (3, "conflict")]
    cio.faults.turn(Dial(rejected=1))
    assert batch(cio, item("u1", attributes={"x": 1})).json()["errors"][0]["reason"] == "invalid"
