"""The People Data Labs stand-in: what a connector meets there."""

from hashlib import sha256

import pytest

from connectors.people_data_labs.emulation import API_KEY, PeopleDataLabs
from connectors.sandbox.faults import Dial


@pytest.fixture
def pdl(stand_in):
    return stand_in(PeopleDataLabs, people=4, headers={"X-API-Key": API_KEY})


def enrich(pdl, **params):
    return pdl.call("GET", "/v5/person/enrich", params=params)


def bulk(pdl, *params, **shared):
    return pdl.call("POST", "/v5/person/bulk", {"requests": [{"params": p, "metadata": {"row": i}} for i, p in enumerate(params)], **shared})


def test_a_person_is_found_by_any_key(pdl):
    found = enrich(pdl, email="P1@example.com").json()
    assert (found["status"], found["likelihood"], found["data"]["first_name"]) == (200, 9, "first1")
    same = [{"email_hash": sha256(b"p1@example.com").hexdigest()}, {"phone": "+436641234501"}, {"pdl_id": found["data"]["id"]}]
    assert {enrich(pdl, **key).json()["data"]["id"] for key in same} == {found["data"]["id"]}
    assert enrich(pdl, name="First1 Last1", location="Graz, Austria").json()["likelihood"] == 6


def test_no_match_costs_nothing_and_a_match_costs_one(pdl):
    answers = [enrich(pdl, email=email) for email in ("p0@example.com", "nobody@example.com")]
    assert [(a.status_code, a.headers["x-call-credits-spent"], a.headers["x-totallimit-remaining"]) for a in answers] == [
        (200, "1", "9999"),
        (404, "0", "9999"),
    ]


@pytest.mark.parametrize("params", [{}, {"name": "First1 Last1"}, {"location": "Graz"}, {"first_name": "First1"}])
def test_too_little_to_go_on_is_a_bad_request(pdl, params):
    assert (enrich(pdl, **params).status_code, enrich(pdl, **params).json()["error"]["type"]) == (400, "invalid_request_error")


def test_required_fields_and_likelihood_narrow_the_match(pdl):
    assert enrich(pdl, email="p1@example.com", required="sex AND birth_date").status_code == 404
    assert enrich(pdl, email="p1@example.com", required="sex OR birth_date").status_code == 200
    assert enrich(pdl, email="p1@example.com", min_likelihood=10).status_code == 404
    assert enrich(pdl, email="p1@example.com", data_include="sex,id").json()["data"].keys() == {"sex", "id"}
    assert "sex" not in enrich(pdl, email="p1@example.com", data_include="-sex").json()["data"]


def test_bulk_answers_each_question_in_order_with_its_metadata(pdl):
    answer = bulk(pdl, {"email": "p1@example.com"}, {"email": "nobody@example.com"}, {}, {"email": "p0@example.com"}, data_include="id")
    assert [(one["status"], one["metadata"]["row"]) for one in answer.json()] == [(200, 0), (404, 1), (400, 2), (200, 3)]
    assert answer.headers["x-call-credits-spent"] == "2"
    assert answer.json()[0]["data"].keys() == {"id"}
    assert bulk(pdl).status_code == bulk(pdl, *[{}] * 101).status_code == 400


def test_credits_run_out(pdl):
    pdl.emulation.set_credits(1)
    assert [one["status"] for one in bulk(pdl, {"email": "p0@example.com"}, {"email": "p1@example.com"}).json()] == [200, 402]
    assert (enrich(pdl, email="p2@example.com").status_code, bulk(pdl, {"email": "p0@example.com"}).status_code) == (402, 402)


def test_limits_are_told_as_dictionaries_and_without_retry_after(pdl):
    answer = enrich(pdl, email="p0@example.com")
    assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("{'minute': 1000}", "{'minute': 999}")
    assert answer.headers["x-ratelimit-reset"] == "2026-01-01T00:01:00.000Z"
    pdl.faults.turn(Dial(too_many=1))
    refused = enrich(pdl, email="p0@example.com")
    assert (refused.status_code, refused.json()["error"]["type"], "retry-after" in refused.headers) == (429, "rate_limit_error", False)


def test_a_lost_answer_is_paid_for(pdl):
    import httpx

    from connectors.sandbox.faults import Fault

    pdl.faults.coming.append(Fault(cut=True, applied=True))
    with pytest.raises(httpx.TransportError):
        enrich(pdl, email="p0@example.com")
    assert pdl.emulation.credits_left() == 9999


def test_without_a_key_nobody_gets_in(pdl):
    assert pdl.call("GET", "/v5/person/enrich", headers={"X-API-Key": "no"}).status_code == 401
