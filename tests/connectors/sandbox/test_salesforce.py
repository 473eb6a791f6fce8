"""The Salesforce stand-in: what a connector meets there."""

import csv
import io

import jwt
import pytest

from connectors.salesforce.emulation import CLIENT, JWT_BEARER, SECRET, USER, Salesforce
from connectors.salesforce.emulation_objects import record_id, record_number
from connectors.sandbox.faults import Dial, Fault

DATA = "/services/data/v67.0"
UPSERT = f"{DATA}/composite/sobjects/Contact/Seg_Id__c"


def token(salesforce, **form):
    given = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET} | form
    return salesforce.http.post("/services/oauth2/token", data=given)


@pytest.fixture
def salesforce(stand_in):
    vendor = stand_in(Salesforce, people=5)
    vendor.http.headers["Authorization"] = f"Bearer {token(vendor).json()['access_token']}"
    return vendor


def query(salesforce, soql, verb="query", **headers):
    return salesforce.call("GET", f"{DATA}/{verb}", params={"q": soql}, headers=headers)


def emails(answer):
    return [one["Email"][:2] for one in answer.json()["records"]]


def row(key, **fields):
    return {"attributes": {"type": "Contact"}, "Seg_Id__c": key, "LastName": "Someone", **fields}


def upsert(salesforce, *rows, **more):
    return salesforce.call("PATCH", UPSERT, {"allOrNone": False, "records": rows, **more})


def codes(answer):
    return ["ok" if one["success"] else one["errors"][0]["statusCode"] for one in answer.json()]


def table(answer):
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_session_is_opened_by_secret_or_by_signed_assertion(salesforce):
    key, base = salesforce.emulation.credentials()["private key (for JWT)"], str(salesforce.http.base_url).rstrip("/")
    claims = {"iss": CLIENT, "sub": USER, "aud": base, "exp": int(salesforce.clock.now) + 180}

    def assertion(**changes):
        return token(salesforce, grant_type=JWT_BEARER, assertion=jwt.encode(claims | changes, key, "RS256"))

    assert assertion().json()["instance_url"] == base
    for wrong in (
        {"aud": "https://test.salesforce.com"},
        {"sub": "x"},
        {"exp": int(salesforce.clock.now) - 1},
        {"exp": int(salesforce.clock.now) + 999},
    ):
        assert assertion(**wrong).json()["error"] == "invalid_grant"
    assert token(salesforce, grant_type=JWT_BEARER, assertion="no").status_code == 400
    assert token(salesforce, client_secret="no").status_code == 401


def test_a_session_ends(salesforce):
    salesforce.clock.now += 7200
    refused = query(salesforce, "SELECT Id FROM Contact")
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("Email = 'P1@EXAMPLE.COM'", [1]),
        ("Email != 'p1@example.com'", [0, 2, 3, 4]),
        ("Email IN ('p1@example.com', 'p2@example.com')", [1, 2]),
        ("Email NOT IN ('p1@example.com') AND FirstName > 'First2'", [3, 4]),
        ("FirstName LIKE 'first%' AND (Email = 'p1@example.com' OR Email = 'p3@example.com')", [1, 3]),
        ("HasOptedOutOfEmail = true", [1, 3]),
        ("Seg_Id__c = null", [0, 1, 2, 3, 4]),
        ("Seg_Id__c != null", []),
        ("NOT Email = 'p1@example.com'", [0, 2, 3, 4]),
        ("SystemModstamp >= 2025-09-01T00:00:00Z", [0, 1, 2, 3, 4]),
        ("SystemModstamp > 2025-09-01T00:00:00.000+0000", []),
        ("LastName = 'O\\'Neill'", []),
    ],
)
def test_soql_conditions(salesforce, condition, expected):
    answer = query(salesforce, f"SELECT Email FROM Contact WHERE {condition} ORDER BY Email")
    assert emails(answer) == [f"p{i}" for i in expected]


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Email", "MALFORMED_QUERY"),
        ("DELETE FROM Contact", "MALFORMED_QUERY"),
        ("SELECT Shoe__c FROM Contact", "INVALID_FIELD"),
        ("SELECT Account.Name FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Shoe", "INVALID_TYPE"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > '2025-09-01T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Birthdate = '2025-09-01'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Contact WHERE HasOptedOutOfEmail = 'true'", "INVALID_QUERY_FILTER_OPERATOR"),
    ],
)
def test_soql_that_can_not_be_run_is_told(salesforce, soql, code):
    refused = query(salesforce, soql)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, code)


def test_order_limit_and_count(salesforce):
    assert emails(query(salesforce, "SELECT Email FROM Contact ORDER BY Email DESC LIMIT 2 OFFSET 1")) == ["p3", "p2"]
    assert query(salesforce, "SELECT COUNT() FROM Contact").json() == {"totalSize": 5, "done": True, "records": []}


def test_pages_hold_what_was_there_when_the_query_began(salesforce):
    upsert(salesforce, *(row(f"k{i}", Email=f"k{i}@example.com") for i in range(200)))
    upsert(salesforce, *(row(f"l{i}", Email=f"l{i}@example.com") for i in range(100)))
    first = query(salesforce, "SELECT Seg_Id__c FROM Contact WHERE Seg_Id__c != null ORDER BY Id", **{"Sforce-Query-Options": "batchSize=200"}).json()
    upsert(salesforce, row("m1"))
    second = salesforce.call("GET", first["nextRecordsUrl"]).json()
    found = [one["Seg_Id__c"] for page in (first, second) for one in page["records"]]
    assert (first["done"], second["done"], first["totalSize"], len(found)) == (False, True, 300, 300)
    assert salesforce.call("GET", f"{DATA}/query/01g000000000000AAA-200").json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_upsert_answers_row_by_row_in_order(salesforce):
    answer = upsert(salesforce, row("k1", Email="a@example.com"), row("k2", Email="no"), row("k3", Shoe__c="42"), {**row("k4"), "LastName": None})
    assert codes(answer) == ["ok", "INVALID_EMAIL_ADDRESS", "INVALID_FIELD", "REQUIRED_FIELD_MISSING"]
    assert answer.json()[0]["created"] is True
    again = upsert(salesforce, row("K1", Email="b@example.com"), row("k1"), row(""))
    assert codes(again) == ["ok", "DUPLICATE_VALUE", "MISSING_ARGUMENT"]
    assert (again.json()[0]["created"], again.json()[0]["id"]) == (False, answer.json()[0]["id"])
    assert salesforce.store.count("Contact") == 6


def test_all_or_none_keeps_nothing_when_one_row_fails(salesforce):
    answer = upsert(salesforce, row("k1"), row("k2", Email="no"), allOrNone=True)
    assert codes(answer) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "INVALID_EMAIL_ADDRESS"]
    assert salesforce.store.count("Contact") == 5


@pytest.mark.parametrize(
    ("path", "records", "status"),
    [
        (UPSERT, [row(f"k{i}") for i in range(201)], 400),
        (UPSERT, [], 400),
        (UPSERT, [row("k1") | {"Id": "003000000000001AAA"}], 400),
        (UPSERT, [row("k1") | {"attributes": {"type": "Lead"}}], 400),
        (f"{DATA}/composite/sobjects/Contact/Email", [row("k1")], 404),
        ("/services/data/v20.0/composite/sobjects/Contact/Seg_Id__c", [row("k1")], 404),
    ],
)
def test_requests_that_are_no_upsert_change_nothing(salesforce, path, records, status):
    assert salesforce.call("PATCH", path, {"records": records}).status_code == status
    assert salesforce.store.effects() == []


def test_campaign_members_are_a_set(salesforce):
    campaign = {"attributes": {"type": "Campaign"}, "Name": "VIP"}
    [made] = salesforce.call("POST", f"{DATA}/composite/sobjects", {"records": [campaign]}).json()
    contact = query(salesforce, "SELECT Id FROM Contact LIMIT 1").json()["records"][0]["Id"]
    member = {"attributes": {"type": "CampaignMember"}, "CampaignId": made["id"], "ContactId": contact}
    first, second = (salesforce.call("POST", f"{DATA}/composite/sobjects", {"records": [member]}) for _ in range(2))
    assert (codes(first), codes(second)) == (["ok"], ["DUPLICATE_VALUE"])
    gone = salesforce.call("DELETE", f"{DATA}/composite/sobjects", params={"ids": f"{first.json()[0]['id']},00v000000000zzzAAA"})
    assert codes(gone) == ["ok", "INVALID_CROSS_REFERENCE_KEY"]
    assert query(salesforce, "SELECT Id FROM CampaignMember").json()["totalSize"] == 0
    assert query(salesforce, "SELECT Id FROM CampaignMember WHERE IsDeleted = true", "queryAll").json()["totalSize"] == 1
    assert codes(salesforce.call("POST", f"{DATA}/composite/sobjects", {"records": [member]})) == ["ok"]


def test_a_bulk_query_is_waited_for_and_read_by_locator(salesforce):
    job = salesforce.call(
        "POST", f"{DATA}/jobs/query", {"operation": "query", "query": "SELECT Id, Email, Seg_Id__c FROM Contact ORDER BY Email"}
    ).json()
    path = f"{DATA}/jobs/query/{job['id']}"
    assert salesforce.call("GET", f"{path}/results").status_code == 400
    assert [salesforce.call("GET", path).json()["state"] for _ in range(3)] == ["InProgress", "JobComplete", "JobComplete"]
    first = salesforce.call("GET", f"{path}/results", params={"maxRecords": 3})
    rest = salesforce.call("GET", f"{path}/results", params={"maxRecords": 3, "locator": first.headers["Sforce-Locator"]})
    assert [one["Email"][:2] for one in table(first) + table(rest)] == ["p0", "p1", "p2", "p3", "p4"]
    assert (first.headers["Sforce-NumberOfRecords"], rest.headers["Sforce-Locator"]) == ("3", "null")
    assert table(first)[0]["Seg_Id__c"] == ""


def bulk(salesforce, text, **job):
    told = {"object": "Contact", "contentType": "CSV", "lineEnding": "LF", **(job or {"operation": "upsert", "externalIdFieldName": "Seg_Id__c"})}
    path = f"{DATA}/jobs/ingest/{salesforce.call('POST', f'{DATA}/jobs/ingest', told).json()['id']}"
    assert salesforce.http.put(f"{path}/batches", content=text.encode(), headers={"Content-Type": "text/csv"}).status_code == 201
    assert salesforce.http.put(f"{path}/batches", content=text.encode()).status_code == 400
    assert salesforce.call("PATCH", path, {"state": "UploadComplete"}).json()["state"] == "UploadComplete"
    states = [salesforce.call("GET", path).json() for _ in range(2)]
    assert [one["state"] for one in states] == ["InProgress", "JobComplete"]
    return path, states[-1]


def test_a_bulk_upsert_tells_which_rows_failed_and_why(salesforce):
    text = 'Seg_Id__c,LastName,Email,HasOptedOutOfEmail\nk1,"Ann, Dr.",ann@example.com,true\nk2,Bob,no,\nk3,,x@example.com,\n'
    path, done = bulk(salesforce, text)
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (3, 2)
    assert [(one["sf__Created"], one["LastName"]) for one in table(salesforce.call("GET", f"{path}/successfulResults"))] == [("true", "Ann, Dr.")]
    assert [one["sf__Error"].split(":")[0] for one in table(salesforce.call("GET", f"{path}/failedResults"))] == [
        "INVALID_EMAIL_ADDRESS",
        "REQUIRED_FIELD_MISSING",
    ]
    assert table(salesforce.call("GET", f"{path}/unprocessedrecords")) == []
    [kept] = query(salesforce, "SELECT HasOptedOutOfEmail FROM Contact WHERE Seg_Id__c = 'k1'").json()["records"]
    assert kept["HasOptedOutOfEmail"] is True
    _, again = bulk(salesforce, "Seg_Id__c,Email\nk1,#N/A\n")
    assert again["numberRecordsFailed"] == 0
    assert query(salesforce, "SELECT Email FROM Contact WHERE Seg_Id__c = 'k1'").json()["records"][0]["Email"] is None


def test_bulk_deletes_softly_or_for_good(salesforce):
    ids = [one["Id"] for one in query(salesforce, "SELECT Id FROM Contact ORDER BY Email").json()["records"]]
    bulk(salesforce, f"Id\n{ids[0]}\n", operation="delete")
    bulk(salesforce, f"Id\n{ids[1]}\n", operation="hardDelete")
    assert query(salesforce, "SELECT COUNT() FROM Contact").json()["totalSize"] == 3
    assert query(salesforce, "SELECT COUNT() FROM Contact", "queryAll").json()["totalSize"] == 4


def test_what_is_used_of_the_day_is_told_and_then_refused(salesforce):
    day = salesforce.emulation.windows["day"]
    assert query(salesforce, "SELECT Id FROM Contact").headers["Sforce-Limit-Info"] == "api-usage=1/100000"
    for _ in range(day.limit - 1):
        day.take(salesforce.clock.now)
    refused = query(salesforce, "SELECT Id FROM Contact")
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")


def test_rows_are_refused_for_good_or_for_now(salesforce):
    salesforce.faults.turn(Dial(rejected=1))
    assert codes(upsert(salesforce, row("k1"))) == ["FIELD_CUSTOM_VALIDATION_EXCEPTION"]
    salesforce.faults.turn(Dial())
    salesforce.faults.coming.append(Fault(partial=True, applied=True))
    assert codes(upsert(salesforce, row("k1"), row("k2"), row("k3"))) == ["UNABLE_TO_LOCK_ROW", "ok", "ok"]


def test_describe_names_the_external_id(salesforce):
    fields = salesforce.call("GET", f"{DATA}/sobjects/Contact/describe").json()["fields"]
    assert [one["name"] for one in fields if one["externalId"]] == ["Seg_Id__c"]
    assert salesforce.call("GET", f"{DATA}/sobjects/Shoe/describe").status_code == 404


def test_ids_are_eighteen_characters_and_lead_back():
    assert (len(record_id("003", 12345)), record_number(record_id("003", 12345))) == (18, 12345)
    assert [record_number(one) for one in ("", None, "003", "003-00000000001AAA")] == [0, 0, 0, 0]
    assert record_id("001", 0) == "001000000000000AAA"
