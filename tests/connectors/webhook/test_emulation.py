"""The sandbox receiver: verifies, applies once, remembers across restarts, shows counts."""

import json
import re
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.webhook.emulation import Receiver, running
from connectors.webhook.emulation_members import AudienceState
from connectors.webhook.signature import sign

SECRET = "a signing key for tests"
NOW = 1_767_225_600
AT = datetime.fromtimestamp(NOW, UTC)


def receiver(tmp_path):
    return Receiver(tmp_path / "state" / "receiver.db", SECRET, clock=lambda: NOW)


def operation(op_id, op="add", audience="vip", key="ann", **fields):
    return {"op_id": op_id, "op": op, "audience": audience, "key": key, "fields": fields}


@pytest.fixture
def client():
    with httpx.Client(trust_env=False) as client:
        yield client


def send(client, served, *operations, body=None, signature=None):
    body = json.dumps({"object": "members", "operations": operations}).encode() if body is None else body
    return client.post(served.url, content=body, headers={"X-Seg-Signature": signature or sign(SECRET, body, NOW)})


def test_what_was_delivered_survives_a_restart(tmp_path, client):
    with running(receiver(tmp_path)) as served:
        send(client, served, operation("1", n=1), operation("2", key="bob"))
    with running(receiver(tmp_path)) as served:
        assert served.receiver.held.audiences() == [AudienceState("vip", 2, "2026-01-01T00:00:00+00:00")]
        assert served.receiver.held.members("vip") == {"ann": {"n": 1}, "bob": {}}


def test_an_operation_is_applied_once_even_when_it_comes_again_later(tmp_path, client):
    with running(receiver(tmp_path)) as served:
        for each in (operation("1"), operation("2", op="remove"), operation("1")):
            assert send(client, served, each).json()["outcomes"][each["op_id"]] == {"verdict": "acked"}
        assert served.receiver.held.members("vip") == {}


def test_a_request_that_is_not_signed_changes_nothing(tmp_path, client):
    with running(receiver(tmp_path)) as served:
        answer = send(client, served, operation("1"), signature="t=1,v1=00")
        assert (answer.status_code, answer.json()) == (401, {"error": "wrong signature"})
        assert served.receiver.held.audiences() == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"operations": 5}', b'{"operations": ["x"]}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_list_of_operations_is_a_bad_request(tmp_path, client, body):
    with running(receiver(tmp_path)) as served:
        assert send(client, served, body=body).status_code == 400


@pytest.mark.parametrize(
    "bad",
    [operation("x", key=""), operation("x", key=5), operation("x", audience=None), operation("x", op="erase"), operation("x") | {"fields": []}],
)
def test_an_unusable_operation_is_rejected_alone(tmp_path, client, bad):
    with running(receiver(tmp_path)) as served:
        outcomes = send(client, served, operation("1"), bad).json()["outcomes"]
        assert (outcomes["1"]["verdict"], outcomes["x"]["verdict"]) == ("acked", "rejected")
        assert re.fullmatch("[a-z_]+", outcomes["x"]["reason"])


def test_the_page_shows_counts_and_no_people(tmp_path, client):
    with running(receiver(tmp_path)) as served:
        send(client, served, operation("1", key="canary@x.org"))
        shown = client.get(f"{served.page}sandbox/state")
        assert shown.json()[0]["shelves"][0]["rows"] == [["vip", "1", "2026-01-01 00:00:00 UTC"]]
        assert "canary" not in shown.text


def test_an_audience_whose_members_all_left_is_shown_as_empty(tmp_path, client):
    with running(receiver(tmp_path)) as served:
        send(client, served, operation("1"), operation("2", op="remove"))
        assert [one.members for one in served.receiver.held.audiences()] == [0]


def test_the_port_is_free_again_afterwards(tmp_path):
    with running(receiver(tmp_path)) as served:
        port = int(served.page.split(":")[2].strip("/"))
        with pytest.raises(OSError), running(receiver(tmp_path), port):  # noqa: PT011 (the message is the system's)
            pass
    with running(receiver(tmp_path), port) as again:
        assert again.page == served.page


steps = st.lists(
    st.tuples(st.sampled_from(["add", "update", "remove"]), st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 3)), max_size=20
)


@given(steps, st.randoms(use_true_random=False))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_repeating_any_delivered_operations_changes_nothing(tmp_path_factory, steps, random):
    operations = [operation(str(i), op, audience, key, n=n) for i, (op, audience, key, n) in enumerate(steps)]
    held = Receiver(tmp_path_factory.mktemp("receiver") / "r.db", SECRET).held
    expected: dict = {}
    for each in operations:
        held.apply([each], AT)
        members = expected.setdefault(each["audience"], {})
        members.pop(each["key"], None)
        if each["op"] != "remove":
            members[each["key"]] = each["fields"]
        held.apply(random.sample(operations[: int(each["op_id"]) + 1], k=1), AT)
    assert {one.audience: held.members(one.audience) for one in held.audiences()} == expected
