"""The Marketo stand-in: what a connector meets there. Nearly everything is HTTP 200."""

import pytest

from connectors.marketo.emulation import CLIENT, SECRET, Marketo
from connectors.sandbox.faults import Dial, Fault

LEADS = "/rest/v1/leads.json"


def token(marketo, **changes):
    form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET} | changes
    return marketo.call("GET", "/identity/oauth/token", params=form)


@pytest.fixture
def marketo(stand_in):
    vendor = stand_in(Marketo, people=5)
    vendor.http.headers["Authorization"] = f"Bearer {token(vendor).json()['access_token']}"
    return vendor


def sync(marketo, *rows, **more):
    return marketo.call("POST", LEADS, {"input": rows, **more}).json()


def codes(answer):
    return [one.get("reasons", [{"code": one["status"]}])[0]["code"] for one in answer["result"]]


def leads(marketo, kind="email", values="p0@example.com", **more):
    return marketo.call("GET", LEADS, params={"filterType": kind, "filterValues": values, **more}).json()


def made_list(marketo, name="VIP"):
    form = {"name": name, "folder": '{"id": 1, "type": "Folder"}'}
    return marketo.http.post("/rest/asset/v1/staticLists.json", data=form).json()["result"][0]["id"]


def test_the_same_token_is_given_until_it_ends(marketo):
    first = token(marketo).json()
    marketo.clock.now += 600
    second = token(marketo).json()
    assert (second["access_token"], first["expires_in"] - second["expires_in"]) == (first["access_token"], 600)
    marketo.clock.now += 3000
    refused = marketo.call("GET", LEADS)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (200, "602")
    assert token(marketo).json()["access_token"] != first["access_token"]
    assert token(marketo, client_secret="no").status_code == 401


def test_without_a_token_the_answer_is_601_inside_200(marketo):
    refused = marketo.call("GET", LEADS, headers={"Authorization": "Bearer no"})
    assert (refused.status_code, refused.json()["success"], refused.json()["errors"][0]["code"]) == (200, False, "601")


def test_each_row_says_what_became_of_it(marketo):
    rows = [{"email": "P0@example.com", "city": "Linz"}, {"email": "new@example.com"}, {"email": "x@example.com", "shoe": 42}, {"city": "Linz"}]
    answer = sync(marketo, *rows)
    assert (answer["success"], codes(answer)) == (True, ["updated", "created", "1006", "1002"])
    assert [lead["city"] for lead in leads(marketo, fields="city")["result"]] == ["Linz"]


def test_actions_decide_whether_leads_may_be_made(marketo):
    rows = [{"email": "p0@example.com"}, {"email": "new@example.com"}]
    assert codes(sync(marketo, *rows, action="updateOnly")) == ["updated", "1004"]
    assert codes(sync(marketo, *rows, action="createOnly")) == ["1005", "created"]
    assert codes(sync(marketo, rows[0], action="createDuplicate")) == ["created"]
    assert codes(sync(marketo, rows[0])) == ["1007"]
    assert sync(marketo, rows[0], action="erase")["errors"][0]["code"] == "1003"


def test_leads_can_be_matched_by_another_field(marketo):
    assert codes(sync(marketo, {"crmId": "U1", "city": "Linz"}, {"crmId": "k", "email": "k@example.com"}, lookupField="crmId")) == [
        "updated",
        "created",
    ]


def test_two_rows_of_one_new_lead_make_one(marketo):
    assert codes(sync(marketo, {"email": "a@example.com", "city": "A"}, {"email": "A@example.com", "city": "B"})) == ["created", "updated"]
    assert marketo.store.count("lead") == 6


def test_more_than_three_hundred_rows_are_refused(marketo):
    rows = [{"email": f"n{i}@example.com"} for i in range(301)]
    assert sync(marketo, *rows)["errors"][0]["code"] == "1003"
    assert len(sync(marketo, *rows[:300])["result"]) == 300


def test_leads_come_in_pages(marketo):
    values = ",".join(f"p{i}@example.com" for i in range(5))
    first = leads(marketo, values=values, batchSize=2)
    second = leads(marketo, values=values, batchSize=2, nextPageToken=first["nextPageToken"])
    third = leads(marketo, values=values, batchSize=2, nextPageToken=second["nextPageToken"])
    assert [[lead["email"][:2] for lead in page["result"]] for page in (first, second, third)] == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    assert "nextPageToken" not in third
    assert leads(marketo, nextPageToken="made up")["errors"][0]["code"] == "1003"


def test_static_lists_hold_leads_as_a_set(marketo):
    made = made_list(marketo)
    ids = [lead["id"] for lead in leads(marketo, values="p0@example.com,p1@example.com")["result"]]
    path = f"/rest/v1/lists/{made}/leads.json"
    added = marketo.call("POST", path, {"input": [{"id": ids[0]}, {"id": ids[1]}, {"id": 99999}]}).json()
    assert codes(added) == ["added", "added", "1004"]
    assert codes(marketo.call("POST", path, {"input": [{"id": ids[0]}]}).json()) == ["added"]
    assert codes(marketo.call("DELETE", path, {"input": [{"id": ids[0]}]}).json()) == ["removed"]
    assert codes(marketo.call("DELETE", path, {"input": [{"id": ids[0]}]}).json()) == ["1015"]
    members = marketo.call("GET", f"/rest/v1/lists/{made}/leads/ismember.json", params={"id": f"{ids[0]},{ids[1]}"}).json()
    assert codes(members) == ["notmemberof", "memberof"]
    assert [lead["id"] for lead in marketo.call("GET", path).json()["result"]] == [ids[1]]
    assert [one["id"] for one in marketo.call("GET", "/rest/v1/lists.json", params={"name": "VIP"}).json()["result"]] == [made]
    assert marketo.store.repeated_effects() == []


def test_erased_leads_are_told_as_deletions(marketo):
    [lead] = leads(marketo)["result"]
    since = marketo.call("GET", "/rest/v1/activities/pagingtoken.json", params={"sinceDatetime": "2026-01-01T00:00:00Z"}).json()["nextPageToken"]
    gone = marketo.call("POST", "/rest/v1/leads/delete.json", {"input": [{"id": lead["id"]}, {"id": 99999}]}).json()
    assert codes(gone) == ["deleted", "1004"]
    told = marketo.call("GET", "/rest/v1/activities/deletedleads.json", params={"nextPageToken": since}).json()
    assert ([one["leadId"] for one in told["result"]], told["moreResult"]) == ([lead["id"]], False)
    again = marketo.call("GET", "/rest/v1/activities/deletedleads.json", params={"nextPageToken": told["nextPageToken"]}).json()
    assert again["result"] == []


def test_an_export_is_made_waited_for_and_fetched(marketo):
    made = made_list(marketo)
    ids = [lead["id"] for lead in leads(marketo, values="p0@example.com,p1@example.com")["result"]]
    marketo.call("POST", f"/rest/v1/lists/{made}/leads.json", {"input": [{"id": one} for one in ids]})
    asked = {"fields": ["email", "city", "company"], "filter": {"staticListId": made}}
    export = marketo.call("POST", "/bulk/v1/leads/export/create.json", asked).json()["result"][0]["exportId"]
    path = f"/bulk/v1/leads/export/{export}"
    states = [marketo.call("POST", f"{path}/enqueue.json").json()["result"][0]["status"]]
    states += [marketo.call("GET", f"{path}/status.json").json()["result"][0]["status"] for _ in range(3)]
    assert states == ["Queued", "Processing", "Completed", "Completed"]
    assert marketo.call("GET", f"{path}/file.json").text == "email,city,company\np0@example.com,Graz,null\np1@example.com,Graz,null\n"
    part = marketo.call("GET", f"{path}/file.json", headers={"Range": "bytes=0-4"})
    assert (part.status_code, part.text, part.headers["content-range"]) == (206, "email", "bytes 0-4/69")


def test_limits_come_inside_200(marketo):
    found = [leads(marketo) for _ in range(101)]
    assert [one.get("errors", [{}])[0].get("code") for one in found[-2:]] == [None, "606"]
    marketo.clock.now += 20
    assert leads(marketo)["success"]


@pytest.mark.parametrize(("status", "told"), [(429, (200, "606")), (503, (200, "608")), (500, (200, "611")), (502, (502, None))])
def test_failures_come_as_marketo_tells_them(marketo, status, told):
    marketo.faults.coming.append(Fault(status))
    answer = marketo.call("GET", LEADS)
    assert (answer.status_code, answer.json()["errors"][0]["code"] if answer.status_code == 200 else None) == told


def test_an_ended_token_is_told_as_602(marketo):
    marketo.faults.turn(Dial(expired_token=1))
    assert leads(marketo)["errors"][0]["code"] == "602"


def test_refused_rows_are_skipped(marketo):
    marketo.faults.rejected_keys.add("p0@example.com")
    assert codes(sync(marketo, {"email": "P0@example.com"}, {"email": "p1@example.com"})) == ["1001", "updated"]


def test_a_row_that_is_busy_is_told_to_pass_when_put_on_a_list_too(marketo):
    ids = [one["id"] for one in leads(marketo, values="p0@example.com,p1@example.com")["result"]]
    path = f"/rest/v1/lists/{made_list(marketo)}/leads.json"
    marketo.faults.coming.append(Fault(partial=True, applied=True))
    assert codes(marketo.call("POST", path, {"input": [{"id": id} for id in ids]}).json()) == ["611", "added"]
    assert codes(marketo.call("POST", path, {"input": [{"id": id} for id in ids]}).json()) == ["added", "added"]
