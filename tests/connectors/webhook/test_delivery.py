"""The webhook against the sandbox receiver over real HTTP, in fair and foul weather."""

import json
import logging
import socket
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pydantic import ValidationError
from werkzeug import Request, Response

from connectors.errors import ConfigError, DestinationError
from connectors.sandbox.faults import Fault
from connectors.types import Operation, OpKind, Outcome, Verdict

NOW = 1_767_225_600


def verdicts(outcomes):
    return {op_id: outcome.verdict for op_id, outcome in outcomes.items()}


def test_members_arrive_with_their_fields(served, webhook, adds, context):
    outcomes = webhook(served.url).deliver("members", adds("ann", "bob"), context)
    assert outcomes == {"op-ann": Outcome(Verdict.ACKED), "op-bob": Outcome(Verdict.ACKED)}
    assert served.receiver.held.members("vip") == {"ann": {"name": "Ann"}, "bob": {"name": "Bob"}}


def test_updates_replace_fields_and_removals_remove(served, webhook, adds, context):
    destination = webhook(served.url)
    destination.deliver("members", adds("ann", "bob"), context)
    changes = [Operation("u", OpKind.UPDATE, "vip", "ann", {"name": "Anna"}), Operation("r", OpKind.REMOVE, "vip", "bob")]
    assert set(verdicts(destination.deliver("members", changes, context)).values()) == {Verdict.ACKED}
    assert served.receiver.held.members("vip") == {"ann": {"name": "Anna"}}


def test_fields_of_every_plain_type_are_written(served, webhook, context):
    fields = {"at": datetime(2026, 1, 1, 12, tzinfo=UTC), "day": date(2026, 1, 1), "sum": Decimal("1.50"), "n": 1, "x": 0.5, "none": None, "z": "é😀"}
    webhook(served.url).deliver("members", [Operation("1", OpKind.ADD, "vip", "ann", fields)], context)
    expected = {"at": "2026-01-01T12:00:00+00:00", "day": "2026-01-01", "sum": "1.50", "n": 1, "x": 0.5, "none": None, "z": "é😀"}
    assert served.receiver.held.members("vip")["ann"] == expected


def test_keys_come_in_the_form_of_a_platform_and_what_is_no_key_is_rejected(served, webhook, context):
    rows = [Operation("1", OpKind.ADD, "vip", "USER@example.com"), Operation("2", OpKind.ADD, "vip", "nobody")]
    outcomes = webhook(served.url, key_as="uid2.email@2026-08").deliver("members", rows, context)
    assert verdicts(outcomes) == {"1": Verdict.ACKED, "2": Verdict.REJECTED}
    assert set(served.receiver.held.members("vip")) == {"tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="}
    with pytest.raises(ValidationError, match="there is no rule"):
        webhook(served.url, key_as="uid2.email@1999-01")


@pytest.mark.parametrize("value", [float("nan"), Decimal("Infinity"), datetime(2026, 1, 1), object(), b"x", "\ud800"])  # noqa: DTZ001 (a naive time is the point)
def test_an_operation_that_can_not_be_written_is_rejected_and_the_others_are_sent(served, webhook, adds, context, value):
    bad = Operation("bad", OpKind.ADD, "vip", "bad", {"value": value})
    outcomes = webhook(served.url).deliver("members", [bad, *adds("ann")], context)
    assert verdicts(outcomes) == {"bad": Verdict.REJECTED, "op-ann": Verdict.ACKED}
    assert list(served.receiver.held.members("vip")) == ["ann"]


def test_nothing_is_sent_when_there_is_nothing_to_send(webhook, context, free_port):
    assert webhook(f"http://127.0.0.1:{free_port}/").deliver("members", [], context) == {}


def test_rejected_keys_are_rejected_with_the_receivers_code(served, webhook, adds, context):
    served.receiver.faults.rejected_keys.add("bob")
    outcomes = webhook(served.url).deliver("members", adds("ann", "bob"), context)
    assert outcomes["op-bob"] == Outcome(Verdict.REJECTED, "key_refused")
    assert outcomes["op-ann"].verdict is Verdict.ACKED


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("Thu, 01 Jan 2026 00:02:00 GMT", 120)])
@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_has_no_time_gets_everything_again_when_it_says(served, webhook, adds, context, status, header, seconds):
    served.receiver.faults.coming.append(Fault(status, {"Retry-After": header}))
    outcomes = webhook(served.url).deliver("members", adds("ann", "bob"), context)
    assert set(outcomes.values()) == {Outcome(Verdict.RETRY, f"http {status}", datetime.fromtimestamp(NOW + seconds, UTC))}


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_answer_is_in_doubt_and_sending_again_applies_once(served, webhook, adds, context, applied):
    destination = webhook(served.url, timeout=0.3)
    served.receiver.faults.coming.append(Fault(lost=True, applied=applied))
    (outcome,) = destination.deliver("members", adds("ann"), context).values()
    assert (outcome.verdict, outcome.reason) == (Verdict.IN_DOUBT, "no answer: read timeout")
    assert set(verdicts(webhook(served.url).deliver("members", adds("ann"), context)).values()) == {Verdict.ACKED}
    assert served.receiver.held.members("vip") == {"ann": {"name": "Ann"}}


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_server_error_is_in_doubt(served, webhook, adds, context, status):
    served.receiver.faults.coming.append(Fault(status, applied=True))
    (outcome,) = webhook(served.url).deliver("members", adds("ann"), context).values()
    assert (outcome.verdict, outcome.reason) == (Verdict.IN_DOUBT, f"http {status}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"[]",
        b'{"outcomes": []}',
        b'{"outcomes": {"op-ann": "acked"}}',
        b'{"outcomes": {"op-ann": {"verdict": "fine"}}}',
        b'{"outcomes": {"op-ann": {"verdict": ["acked"]}}}',
        b'{"outcomes": {"op-someone": {"verdict": "acked"}}}',
        b'{"outcomes": {"op-ann": {"verdict": "acked"}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_success_that_does_not_say_what_became_of_the_operation_is_in_doubt(served, webhook, adds, context, body):
    served.receiver.faults.coming.append(Fault(body=body, applied=True))
    assert set(verdicts(webhook(served.url).deliver("members", adds("ann"), context)).values()) == {Verdict.IN_DOUBT}


def test_operations_left_out_of_the_answer_are_in_doubt(served, webhook, adds, context):
    served.receiver.faults.coming.append(Fault(omitted=1, applied=True))
    outcomes = webhook(served.url).deliver("members", adds("ann", "bob"), context)
    assert verdicts(outcomes) == {"op-ann": Verdict.ACKED, "op-bob": Verdict.IN_DOUBT}


@pytest.mark.parametrize("status", [401, 403, 404, 405, 410, 301, 307])
def test_refused_credentials_and_addresses_are_configuration_errors(served, webhook, adds, context, status):
    served.receiver.faults.coming.append(Fault(status, {"Location": served.url}))
    with pytest.raises(ConfigError, match=f"http {status}"):
        webhook(served.url).deliver("members", adds("ann"), context)
    assert served.receiver.held.audiences() == []


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_batch_that_is_refused_as_a_whole_is_a_destination_error(served, webhook, adds, context, status):
    served.receiver.faults.coming.append(Fault(status))
    with pytest.raises(DestinationError, match=f"refuses the whole batch: http {status}"):
        webhook(served.url).deliver("members", adds("ann"), context)


def test_a_batch_that_is_too_large_is_sent_in_halves(served, webhook, adds, context):
    served.receiver.faults.coming += [Fault(413), Fault(413), Fault(applied=True)]
    outcomes = webhook(served.url).deliver("members", adds("ann", "bob", "cid"), context)
    assert verdicts(outcomes) == {"op-ann": Verdict.REJECTED, "op-bob": Verdict.ACKED, "op-cid": Verdict.ACKED}
    assert set(served.receiver.held.members("vip")) == {"bob", "cid"}


def test_a_wrong_secret_is_told_as_such(served, webhook, adds, context):
    with pytest.raises(ConfigError, match="our signature is refused"):
        webhook(served.url, secret="another key that is wrong").deliver("members", adds("ann"), context)


def test_a_clock_that_is_far_off_is_refused(served, webhook, adds, context):
    assert webhook(served.url, clock=lambda: NOW - 299).deliver("members", adds("ann"), context)
    with pytest.raises(ConfigError, match="our signature is refused"):
        webhook(served.url, clock=lambda: NOW - 301).deliver("members", adds("bob"), context)


@pytest.fixture
def free_port():
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_nobody_listening_means_nothing_was_sent(webhook, adds, context, free_port):
    with pytest.raises(DestinationError, match=r"can't be reached: connect error \(nothing of this batch was sent\)"):
        webhook(f"http://127.0.0.1:{free_port}/").deliver("members", adds("ann"), context)


def test_the_request_is_canonical_json_with_an_idempotency_key(httpserver, webhook, context):
    seen = []

    def answer(request: Request) -> Response:
        seen.append((request.get_data(), request.headers))
        return Response('{"outcomes": {}}')

    httpserver.expect_request("/in", method="POST").respond_with_handler(answer)
    destination = webhook(httpserver.url_for("/in"))
    operation = Operation("1", OpKind.ADD, "vip", "ann@x.org", {"b": 1, "a": "é"})
    for batch in ([operation], [operation], [Operation("2", OpKind.REMOVE, "vip", "ann@x.org")]):
        destination.deliver("members", batch, context)
    (body, headers), (_, again), (_, other) = seen
    expected = '{"object":"members","operations":[{"audience":"vip","fields":{"a":"é","b":1},"key":"ann@x.org","op":"add","op_id":"1"}]}'
    assert body == expected.encode()
    assert json.loads(body)
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Seg-Signature"].startswith(f"t={NOW},v1=")
    assert headers["Idempotency-Key"] == again["Idempotency-Key"] != other["Idempotency-Key"]


@pytest.mark.parametrize("reason", ["ann@x.org is unknown", "ann", "no_such_Ann", "a" * 61, "Unknown Person", None, {"a": 1}, [1], True])
def test_a_reason_that_may_hold_personal_data_is_not_kept(served, webhook, adds, context, reason):
    body = json.dumps({"outcomes": {"op-ann": {"verdict": "rejected", "reason": reason}}}).encode()
    served.receiver.faults.coming.append(Fault(body=body))
    outcome = webhook(served.url).deliver("members", adds("ann"), context)["op-ann"]
    assert outcome == Outcome(Verdict.REJECTED, "the vendor gives no code word for why")


def test_neither_secrets_nor_people_appear_in_errors_logs_or_representations(served, webhook, adds, context, free_port, caplog):
    caplog.set_level(logging.DEBUG)
    canaries = ("canary", "token=", "a signing key")
    webhook(f"{served.url}?token=abc").deliver("members", adds("canary-key"), context)
    said = []
    for url, fault in ((served.url, 400), (served.url, 401), (f"http://127.0.0.1:{free_port}/", None)):
        served.receiver.faults.coming.append(Fault(fault, body=b"canary-key"))
        destination = webhook(f"{url}?token=abc")
        with pytest.raises((ConfigError, DestinationError)) as error:
            destination.deliver("members", adds("canary-key"), context)
        said += [str(error.value), repr(error.value), repr(destination), repr(context)]
    logged = [record.getMessage() for record in caplog.records]
    assert logged
    assert not [text for text in (*said, *logged) for canary in canaries if canary in text]


def test_an_unknown_object_is_refused(served, webhook, adds, context):
    with pytest.raises(ConfigError, match="no object 'people'"):
        webhook(served.url).deliver("people", adds("ann"), context)


def test_objects_say_how_much_fits_into_a_batch(webhook):
    (target,) = webhook("https://x.example/in", max_batch=7, match_key="user_id").objects()
    assert (target.name, target.match_key, target.max_batch) == ("members", "user_id", 7)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"url": "http://example.com/in"}, "must be https"),
        ({"url": "ftp://127.0.0.1/in"}, "must be https"),
        ({"url": "https:///in"}, "not a complete URL"),
        ({"url": "https://example.com:99999/in"}, "Port out of range"),
        ({"url": "https://user:pass@example.com/in"}, "credentials do not belong"),
        ({"secret": "short"}, "at least 16"),
        ({"timeout": 0}, "greater than 0"),
        ({"max_batch": 0}, "greater than or equal to 1"),
        ({"match_key": "cookie"}, "Input should be"),
    ],
)
def test_a_configuration_that_can_not_work_is_refused(webhook, config, message):
    with pytest.raises(ValidationError, match=message):
        webhook(**({"url": "https://x.example/in"} | config))


@pytest.mark.parametrize("url", ["https://example.com/in", "http://127.0.0.1:8/in", "http://localhost/in", "http://[::1]:80/in"])
def test_https_anywhere_and_http_on_this_machine_are_allowed(webhook, url):
    assert webhook(url).objects()
