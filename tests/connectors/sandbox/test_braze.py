"""The Braze stand-in: what a connector meets there."""

import pytest

from connectors.braze.emulation import API_KEY, GROUP, Braze
from connectors.sandbox.faults import Fault

TIME = "2026-01-01T10:00:00Z"


@pytest.fixture
def braze(stand_in):
    return stand_in(Braze, people=4, headers={"Authorization": f"Bearer {API_KEY}"})


def track(braze, *attributes, **arrays):
    return braze.call("POST", "/users/track", {**({"attributes": attributes} if attributes else {}), **arrays})


def user(braze, external_id):
    fields = ["external_id", "email", "first_name", "custom_attributes", "user_aliases"]
    return braze.call("POST", "/users/export/ids", {"external_ids": [external_id], "fields_to_export": fields}).json()["users"][0]


def test_attributes_are_set_taken_away_added_to_and_counted(braze):
    track(braze, {"external_id": "u1", "first_name": "Ann", "vip": True, "tags": ["a", "b"], "visits": 2})
    answer = track(braze, {"external_id": "u1", "vip": None, "tags": {"add": ["c"], "remove": ["a"]}, "visits": {"inc": 3}})
    assert (answer.status_code, answer.json()) == (201, {"message": "success", "attributes_processed": 1})
    assert (user(braze, "u1")["first_name"], user(braze, "u1")["custom_attributes"]) == ("Ann", {"tags": ["b", "c"], "visits": 5})


def test_a_bad_row_stands_in_errors_beside_success(braze):
    answer = track(braze, {"external_id": "u1", "vip": True}, {"vip": True}, events=[{"external_id": "u1", "name": "seen"}])
    assert answer.status_code == 201
    assert answer.json()["attributes_processed"] == 1
    assert [(e["input_array"], e["index"]) for e in answer.json()["errors"]] == [("attributes", 1), ("events", 0)]


def test_users_are_made_unless_only_existing_ones_may_change(braze):
    track(braze, {"external_id": "new"}, {"external_id": "no", "_update_existing_only": True}, {"email": "P0@example.com", "vip": True})
    track(braze, {"user_alias": {"alias_name": "a", "alias_label": "crm"}, "x": 1})
    assert braze.store.count("user") == 5
    assert user(braze, "u0")["custom_attributes"] == {"vip": True}
    track(braze, {"user_alias": {"alias_name": "a", "alias_label": "crm"}, "x": 1, "_update_existing_only": False})
    assert braze.store.count("user") == 6


def test_an_event_sent_twice_is_two_events(braze):
    for _ in range(2):
        track(braze, events=[{"external_id": "u1", "name": "entered", "time": TIME}])
    assert braze.store.count("event") == 2
    assert [effect.op for effect in braze.store.repeated_effects()] == ["event"]


def test_seventy_five_objects_fit_over_all_arrays(braze):
    event = {"external_id": "u1", "name": "seen", "time": TIME}
    assert track(braze, *({"external_id": f"n{i}"} for i in range(70)), events=[event] * 5).status_code == 201
    assert track(braze, *({"external_id": f"n{i}"} for i in range(70)), events=[event] * 6).status_code == 400
    assert track(braze).status_code == 400


def test_a_body_beyond_four_megabytes_is_refused(braze):
    assert track(braze, {"external_id": "u1", "note": "x" * (4 << 20)}).status_code == 413


def test_export_tells_who_is_unknown(braze):
    answer = braze.call("POST", "/users/export/ids", {"external_ids": ["u1", "nobody"], "fields_to_export": ["external_id"]}).json()
    assert (answer["users"], answer["invalid_user_ids"]) == ([{"external_id": "u1"}], ["nobody"])
    assert braze.call("POST", "/users/export/ids", {"external_ids": ["u1"]}).status_code == 400


def test_erasure_takes_one_kind_of_identifier(braze):
    assert braze.call("POST", "/users/delete", {"external_ids": ["u0", "nobody"]}).json() == {"deleted": 1, "message": "success"}
    by_mail = [{"email": "p1@example.com", "prioritization": ["most_recently_updated"]}]
    assert braze.call("POST", "/users/delete", {"email_addresses": by_mail}).json()["deleted"] == 1
    assert braze.call("POST", "/users/delete", {"external_ids": ["u2"], "braze_ids": ["x"]}).status_code == 400
    assert braze.store.count("user") == 2


def test_subscription_groups_hold_users_as_a_set(braze):
    def state(external_id):
        return braze.call("GET", "/subscription/status/get", params={"subscription_group_id": GROUP, "external_id": external_id}).json()["status"]

    assert (state("u0"), state("u1")) == ({"u0": "Subscribed"}, {"u1": "Unsubscribed"})
    change = {"subscription_group_id": GROUP, "subscription_state": "unsubscribed", "external_ids": ["u0"], "emails": ["p2@example.com"]}
    assert braze.call("POST", "/v2/subscription/status/set", {"subscription_groups": [change]}).status_code == 201
    assert (state("u0"), state("u2")) == ({"u0": "Unsubscribed"}, {"u2": "Unsubscribed"})


def test_rate_headers_tell_when_to_come_back(braze):
    answer = track(braze, {"external_id": "u1"})
    told = {name: int(answer.headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset")}
    assert told == {"limit": 3000, "remaining": 2999, "reset": int(braze.clock.now) + 3}
    ask = {"external_ids": ["u1"], "fields_to_export": ["external_id"]}
    answers = [braze.call("POST", "/users/export/ids", ask) for _ in range(251)]
    assert [a.status_code for a in answers[-2:]] == [200, 429]
    assert int(answers[-1].headers["x-ratelimit-reset"]) == int(braze.clock.now) + 60


def test_without_a_key_nobody_gets_in(braze):
    assert braze.call("POST", "/users/track", {}, headers={"Authorization": "Bearer no"}).json()["message"] == "Invalid API Key"


def test_busy_rows_are_told_in_errors(braze):
    braze.faults.coming.append(Fault(partial=True, applied=True))
    assert len(track(braze, *({"external_id": f"u{i}", "vip": True} for i in range(4))).json()["errors"]) == 2
