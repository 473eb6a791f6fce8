"""The OneTrust stand-in: what a connector meets there."""

import pytest

from connectors.onetrust.emulation import CLIENT, COLLECTION_POINT, PURPOSES, SECRET, OneTrust
from connectors.sandbox.faults import Dial

V4 = "/rest/api/consent/v4/datasubjects"
EMAIL = next(key for key, name in PURPOSES.items() if name == "marketing_email")
SEPTEMBER = {"updatedSince": "2025-09-01T00:00:00Z", "updatedUntil": "2025-09-30T00:00:00Z"}


@pytest.fixture
def onetrust(stand_in):
    vendor = stand_in(OneTrust, people=5)
    form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET}
    token = vendor.http.post("/api/access/v1/oauth/token", data=form).json()["access_token"]
    vendor.http.headers["Authorization"] = f"Bearer {token}"
    return vendor


def decide(onetrust, who, transaction, **more):
    purpose = {"Id": EMAIL, "TransactionType": transaction, **more}
    return onetrust.call("POST", "/request/v1/consentreceipts", {"identifier": who, "requestInformation": COLLECTION_POINT, "purposes": [purpose]})


def details(onetrust, who):
    return onetrust.call("GET", f"{V4}/details", headers={"identifier": who})


def pages(onetrust, path, **params):
    headers, found = {}, []
    while True:
        page = onetrust.call("GET", f"{V4}{path}", params=params, headers=headers).json()
        found.append(page["content"])
        if page["last"]:
            return found
        headers = {"requestContinuation": page["requestContinuation"]}


@pytest.mark.parametrize("path", ["/profiles", "/profiles/unordered"])
def test_a_period_is_read_page_by_page(onetrust, path):
    found = pages(onetrust, path, **SEPTEMBER, size=2)
    assert [len(page) for page in found] == [2, 2, 1]
    assert {(one["identifier"], one["name"], one["status"]) for page in found for one in page} == {
        (f"p{i}@example.com", "marketing_email", "ACTIVE" if i % 2 == 0 else "NO_CONSENT") for i in range(5)
    }


@pytest.mark.parametrize("path", ["/profiles", "/profiles/unordered"])
def test_what_changes_while_pages_are_read_makes_none_of_the_others_be_missed(onetrust, path):
    first = onetrust.call("GET", f"{V4}{path}", params=SEPTEMBER | {"size": 2}).json()
    for one in first["content"]:
        decide(onetrust, one["identifier"], "WITHDRAWN")
    headers = {"requestContinuation": first["requestContinuation"]}
    rest = onetrust.call("GET", f"{V4}{path}", params=SEPTEMBER | {"size": 2}, headers=headers).json()
    last = onetrust.call("GET", f"{V4}{path}", params=SEPTEMBER | {"size": 2}, headers={"requestContinuation": rest["requestContinuation"]}).json()
    assert len({one["identifier"] for page in (first, rest, last) for one in page["content"]}) == 5


def test_a_token_of_another_question_is_refused(onetrust):
    token = onetrust.call("GET", f"{V4}/profiles", params=SEPTEMBER | {"size": 2}).json()["requestContinuation"]
    other = SEPTEMBER | {"status": "ACTIVE"}
    assert onetrust.call("GET", f"{V4}/profiles", params=other, headers={"requestContinuation": token}).status_code == 400
    assert onetrust.call("GET", f"{V4}/profiles", params=SEPTEMBER, headers={"requestContinuation": "made up"}).status_code == 400


@pytest.mark.parametrize(
    "params", [{}, SEPTEMBER | {"updatedUntil": "2025-10-02T00:00:00Z"}, SEPTEMBER | {"size": 51}, SEPTEMBER | {"updatedSince": "yesterday"}]
)
def test_periods_are_at_most_thirty_days_and_pages_at_most_fifty(onetrust, params):
    assert onetrust.call("GET", f"{V4}/profiles", params=params).status_code == 400


def test_a_decision_is_seen_at_once_and_in_its_period(onetrust):
    assert decide(onetrust, "P1@example.com", "CONFIRMED").json()["receipt"].count(".") == 2
    profile = details(onetrust, "p1@example.com").json()["profiles"][0]
    assert (profile["status"], profile["consentDate"], profile["totalTransactionCount"]) == ("ACTIVE", "2026-01-01T00:00:00.000Z", 2)
    found = pages(onetrust, "/profiles", updatedSince="2026-01-01T00:00:00Z", updatedUntil="2026-01-02T00:00:00Z", purposeId=EMAIL, status="ACTIVE")
    assert [one["identifier"] for one in found[0]] == ["p1@example.com"]


def test_a_consent_ends_by_itself(onetrust):
    decide(onetrust, "p1@example.com", "CONFIRMED", ExpiryDate="2026-01-02T00:00:00Z")
    one = lambda: onetrust.call("GET", f"{V4}/profiles/{EMAIL}", headers={"identifier": "p1@example.com"}).json()["status"]  # noqa: E731
    assert one() == "ACTIVE"
    onetrust.clock.now += 86_400
    assert onetrust.call("GET", f"{V4}/profiles/{EMAIL}", headers={"identifier": "p1@example.com"}).status_code == 401
    access = onetrust.emulation.tokens.issue("access", CLIENT, onetrust.clock.now + 60)
    onetrust.http.headers["Authorization"] = f"Bearer {access}"
    assert one() == "EXPIRED"


@pytest.mark.parametrize(
    ("transaction", "status"), [("WITHDRAWN", "WITHDRAWN"), ("HARD_OPT_OUT", "HARD_OPT_OUT"), ("NOTGIVEN", "NO_CONSENT"), ("PENDING", "PENDING")]
)
def test_other_decisions_are_no_consent(onetrust, transaction, status):
    decide(onetrust, "p0@example.com", transaction)
    assert details(onetrust, "p0@example.com").json()["profiles"][0]["status"] == status


def test_new_people_become_data_subjects(onetrust):
    decide(onetrust, "new@example.com", "CONFIRMED")
    found = pages(onetrust, "", fromDate="2026-01-01T00:00:00Z", toDate="2026-01-05T00:00:00Z")
    assert [one["identifier"] for one in found[0]] == ["new@example.com"]
    assert details(onetrust, "nobody@example.com").status_code == 404


def test_receipts_without_a_collection_point_or_of_unknown_purposes_are_refused(onetrust):
    receipt = {"identifier": "a@example.com", "requestInformation": "no", "purposes": []}
    assert onetrust.call("POST", "/request/v1/consentreceipts", receipt).status_code == 400
    assert decide(onetrust, "a@example.com", "MAYBE").status_code == 400
    assert decide(onetrust, "a@example.com", "CONFIRMED", Id="x").status_code == 400


def test_one_call_too_many_is_told_with_its_wait(onetrust):
    onetrust.faults.turn(Dial(too_many=1))
    refused = details(onetrust, "p0@example.com")
    told = [refused.headers[name] for name in ("retry-after", "ot-period", "ot-requests-allowed")]
    assert (refused.status_code, told) == (429, ["1", "MINUTE", "20000"])


def test_without_a_token_nobody_gets_in(onetrust):
    assert onetrust.call("GET", f"{V4}/details", headers={"identifier": "p0@example.com", "Authorization": ""}).status_code == 401
    assert onetrust.http.post("/api/access/v1/oauth/token", data={"client_id": CLIENT}).status_code == 401
