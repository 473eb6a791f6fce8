"""What every stand-in does alike: faults, effects, restarts, the page, the dial over HTTP."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from connectors.errors import ConfigError
from connectors.hubspot.emulation import PRIVATE_APP_TOKEN, HubSpot
from connectors.sandbox.faults import Dial, Fault, Faults
from connectors.sandbox.limits import Window
from connectors.sandbox.people import people, seed_all
from connectors.sandbox.server import serving
from connectors.sandbox.store import Store

CONTACTS = "/crm/v3/objects/contacts"


@pytest.fixture
def hubspot(stand_in):
    return stand_in(HubSpot, headers={"Authorization": f"Bearer {PRIVATE_APP_TOKEN}"})


def upsert(vendor, *emails, **properties):
    inputs = [{"id": email, "idProperty": "email", "properties": {"email": email, **properties}} for email in emails]
    return vendor.call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})


@pytest.mark.parametrize(("applied", "held"), [(True, 1), (False, 0)])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failing_request_is_applied_or_not_as_told(hubspot, status, applied, held):
    hubspot.faults.coming.append(Fault(status, applied=applied))
    assert upsert(hubspot, "ann@example.com").status_code == status
    assert (hubspot.store.count("contact"), len(hubspot.store.effects())) == (held, held)


@pytest.mark.parametrize("applied", [True, False])
def test_a_cut_connection_tells_nothing(hubspot, applied):
    hubspot.faults.coming.append(Fault(cut=True, applied=applied))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        upsert(hubspot, "ann@example.com")
    assert hubspot.store.count("contact") == applied
    assert upsert(hubspot, "ann@example.com").json()["results"][0]["new"] is not applied


def test_a_slow_body_stops_in_the_middle_and_then_ends(hubspot):
    hubspot.faults.coming += [Fault(slow=30, applied=True), Fault(slow=0.01, applied=True)]
    with pytest.raises(httpx.ReadTimeout):
        hubspot.call("GET", CONTACTS, timeout=0.2)
    assert hubspot.call("GET", CONTACTS).json() == {"results": []}


def test_rows_refused_for_good_stay_refused_and_busy_rows_get_through_later(hubspot):
    emails = [f"p{i}@example.com" for i in range(60)]
    hubspot.faults.turn(Dial(rejected=0.2, seed=3))
    first, second = (upsert(hubspot, *emails).json()["errors"] for _ in range(2))
    assert first == second
    assert 3 <= len(first) <= 25
    hubspot.faults.turn(Dial())
    hubspot.faults.coming.append(Fault(partial=True, applied=True))
    assert upsert(hubspot, "a@b.cc", "b@b.cc", "c@b.cc", "d@b.cc").json()["numErrors"] == 2
    assert upsert(hubspot, "a@b.cc", "d@b.cc").status_code == 200


def test_tokens_can_end_at_any_moment(hubspot):
    access = hubspot.emulation.tokens.issue("access", "somebody", hubspot.clock.now + 1000)
    headers = {"Authorization": f"Bearer {access}"}
    assert hubspot.call("GET", CONTACTS, headers=headers).status_code == 200
    hubspot.faults.turn(Dial(expired_token=1))
    assert hubspot.call("GET", CONTACTS, headers=headers).status_code == 401


def test_the_same_dial_does_the_same_to_the_same_requests():
    def faults(dial):
        dice = Faults()
        dice.turn(dial)
        return [dice.next() for _ in range(400)]

    dial = Dial(too_many=0.1, unavailable=0.02, storm=7, server_error=0.1, lost_before=0.1, lost_after=0.1, slow=0.05, partial=0.1, seed=5)
    assert faults(dial) == faults(dial) != faults(dial.model_copy(update={"seed": 6}))
    told = {fault.words for fault in faults(dial)}
    assert {"", "429 (not applied)", "500 (applied)", "500 (not applied)", "cut (applied)", "cut (not applied)", "partial (applied)"} <= told


def test_a_storm_lasts_as_many_requests_as_told():
    dice = Faults()
    dice.turn(Dial(unavailable=0.01, storm=20, seed=1))
    told = [dice.next().status == 503 for _ in range(2000)]
    starts = [i for i in range(1, 2000) if told[i] and not told[i - 1]]
    assert starts
    assert all(all(told[i : i + 20]) for i in starts)


def test_a_window_rolls():
    window = Window(2, 10)
    window.take(0)
    window.take(4)
    assert [window.remaining(t) for t in (4, 9.9, 10, 14)] == [0, 0, 1, 2]
    window.take(14)
    window.take(15)
    assert window.free_at(16) == 24


def test_what_is_done_twice_is_counted_and_what_was_undone_between_is_not(hubspot):
    for _ in range(2):
        upsert(hubspot, "ann@example.com", city="Graz")
    upsert(hubspot, "ann@example.com", city="Linz")
    upsert(hubspot, "ann@example.com", city="Graz")
    assert [effect.op for effect in hubspot.store.effects()] == ["create", "update", "update"]
    assert hubspot.store.repeated_effects() == []


def test_everything_survives_a_restart(stand_in):
    headers = {"Authorization": f"Bearer {PRIVATE_APP_TOKEN}"}
    before = stand_in(HubSpot, people=3, headers=headers)
    upsert(before, "ann@example.com")
    before.store.close()
    after = stand_in(HubSpot, headers=headers)
    assert after.call("GET", CONTACTS).json()["results"][-1]["properties"]["email"] == "ann@example.com"
    assert len(after.store.effects()) == 1
    assert upsert(after, "bob@example.com").json()["results"][0]["id"] == "5"


def test_many_at_once_lose_nothing(hubspot):
    hubspot.faults.turn(Dial(limits=False))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: upsert(hubspot, *(f"{i}.{j}@example.com" for j in range(50))).status_code, range(20)))
    assert answers == [200] * 20
    assert hubspot.store.count("contact") == 1000


def test_the_page_shows_what_is_held_and_nobody_by_address(stand_in):
    hubspot = stand_in(HubSpot, people=5, headers={"Authorization": f"Bearer {PRIVATE_APP_TOKEN}"})
    hubspot.faults.coming.append(Fault(429))
    upsert(hubspot, "canary@example.com", city="Graz")
    upsert(hubspot, "canary@example.com", phone="+4366412345678")
    page, shown = httpx.get(hubspot.page, trust_env=False), httpx.get(f"{hubspot.page}sandbox/state", trust_env=False)
    assert "Dial: what goes wrong" in page.text
    [vendor] = shown.json()
    assert vendor["shelves"][0]["title"] == "Contacts"
    assert vendor["shelves"][0]["total"] == 6
    assert vendor["shelves"][0]["rows"][0][0] == "ca…@…"
    assert [(one["status"], one["rows"], one["fault"]) for one in vendor["requests"]] == [(200, 1, ""), (429, 1, "429 (not applied)")]
    assert "example.com" not in shown.text.replace(hubspot.page, "")
    assert "345678" not in shown.text


def test_the_dial_can_be_turned_over_http(hubspot):
    address = f"{hubspot.page}sandbox/hubspot/dial"
    assert httpx.put(address, json={"too_many": 1}, trust_env=False).json()["too_many"] == 1
    assert hubspot.call("GET", CONTACTS).status_code == 429
    for wrong in ({"too_many": 2}, {"to_many": 1}, {"storm": 0}):
        assert httpx.put(address, json=wrong, trust_env=False).status_code == 422
    assert httpx.get(address, trust_env=False).json()["too_many"] == 1
    assert httpx.put(address, json={}, trust_env=False).status_code == 200
    assert hubspot.call("GET", CONTACTS).status_code == 200
    assert httpx.get(f"{hubspot.page}sandbox/nobody/dial", trust_env=False).status_code == 404


def test_other_names_for_this_machine_are_not_answered(hubspot):
    assert httpx.get(hubspot.page, headers={"Host": "rebound.example"}, trust_env=False).status_code == 400


def test_the_people_are_the_shops_and_the_same_every_time():
    some = people(120, 7)
    assert some == people(120, 7) != people(120, 8)
    assert len({person.email for person in some}) == len(some) > 80
    assert {statement.state for person in some for statement in person.consents.values()} == {"granted", "denied", "withdrawn"}
    assert all(person.phone == "" or person.phone.startswith("+") for person in some)
    assert any(person.attributes for person in some)


def test_only_empty_stand_ins_are_filled(tmp_path):
    emulation = HubSpot(tmp_path / "state.sqlite")
    held = seed_all([emulation], 50, 7)
    assert emulation.store.count("contact") == held > 30
    assert seed_all([emulation], 80, 8) == 0
    assert emulation.store.count("contact") == held


def test_a_port_that_is_taken_is_told(tmp_path, stand_in):
    port = int(stand_in(HubSpot, name="one").page.split(":")[2].strip("/"))
    with pytest.raises(OSError), serving(HubSpot(tmp_path / "other.sqlite"), port=port):  # noqa: PT011 (the message is the system's)
        pass


def test_a_body_that_can_not_be_read_is_a_bad_request(hubspot):
    half = {"inputs": [{"id": "a@b.cc", "idProperty": "email", "properties": {"email": "a@b.cc", "city": "\ud83d"}}]}
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 100_000, json.dumps({"inputs": 5}).encode(), json.dumps(half).encode()):
        assert hubspot.http.post(f"{CONTACTS}/batch/upsert", content=body).status_code == 400


@pytest.mark.parametrize("text", ["Zoë", "😀", "שלום", "a'b\"c\\d", "\u0000", "e\u0301", "x" * 5000])
def test_text_comes_back_as_it_was_sent(hubspot, text):
    assert upsert(hubspot, "ann@example.com", city=text).json()["results"][0]["properties"]["city"] == text
    assert hubspot.call("GET", CONTACTS, params={"properties": "city"}).json()["results"][0]["properties"]["city"] == text


def test_the_id_of_what_is_gone_is_not_given_again_after_a_restart(tmp_path):
    store = Store(tmp_path / "s.sqlite")
    gone = store.make("person", {}, 0)
    store.save([gone])
    store.delete([gone])
    store.close()
    assert Store(tmp_path / "s.sqlite").make("segment", {}, 0).id > gone.id


def test_a_file_of_another_version_is_refused_and_left_as_it_is(tmp_path):
    file = tmp_path / "hubspot.sqlite"
    with sqlite3.connect(file) as earlier:
        earlier.execute("create table records(id integer primary key, kind text)")
    with pytest.raises(ConfigError, match=f"made by another version of seg-assets .move {tmp_path} away"):
        Store(file)
    assert sqlite3.connect(file).execute("select name from sqlite_master").fetchall() == [("records",)]
