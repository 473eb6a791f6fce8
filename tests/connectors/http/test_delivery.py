"""From rows to outcomes: n in, n out, whatever the vendor answers."""

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug import Request, Response

from connectors.errors import ConfigError, DestinationError
from connectors.http import Row, deliver_rows
from connectors.types import Outcome, Verdict

NOW = 1_767_225_600.0


def rows(*keys):
    return [Row(f"op-{key}", json.dumps({"id": key}, ensure_ascii=False), key=key, person=key) for key in keys]


class Vendor:
    """Upserts {"inputs": [{"id"}]}; refuses the batch when a `poison` is in it, and each row in `bad`."""

    def __init__(self, httpserver, answer=None):
        self.batches, self.poison, self.bad, self.answer = [], set(), set(), answer
        httpserver.clear()
        httpserver.expect_request("/upsert").respond_with_handler(self._handle)

    def _handle(self, request: Request) -> Response:
        body = request.get_data()
        ids = [row["id"] for row in json.loads(body)["inputs"]]
        self.batches.append((ids, len(body), request.headers.get("Idempotency-Key")))
        if self.answer:
            return self.answer(ids)
        if self.poison & set(ids):
            return Response("{}", 409)
        done = [{"id": id} for id in ids if id not in self.bad]
        errors = [{"context": {"ids": [id]}, "category": "INVALID"} for id in ids if id in self.bad]
        return Response(json.dumps({"results": done[::-1], "errors": errors}), 207 if errors else 200)


ENDPOINT = {
    "method": "POST",
    "path": "/upsert",
    "idempotency": "A",
    "idempotency_header": "Idempotency-Key",
    "rules": [{"status": 409, "do": "SPLIT"}, {"status": 207, "do": "ROW_ERRORS"}, {"status": 404, "do": "SKIP_ROW"}],
    "rows": [
        {"each": "$.results[*]", "verdict": "acked", "key": "@.id"},
        {"each": "$.errors[*]", "verdict": "rejected", "key": "@.context.ids[*]", "code": "@.category", "retry": ["LOCKED"]},
    ],
}


@pytest.fixture
def send(vendor, context):
    def deliver(given, **endpoint):
        api = vendor(endpoints={"upsert": ENDPOINT | {"max_rows": 4} | endpoint})
        return deliver_rows(api, "upsert", given, context, envelope=('{"inputs":[', "]}"))

    return deliver


def verdicts(outcomes):
    return {op_id: outcome.verdict.value for op_id, outcome in outcomes.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_each_operation_gets_the_outcome_of_its_row_whatever_the_order_and_the_batches(send, httpserver, data):
    keys = data.draw(st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=12))
    vendor = Vendor(httpserver)
    vendor.bad = set(data.draw(st.lists(st.sampled_from(keys), max_size=3)) if keys else [])
    vendor.poison = set(data.draw(st.lists(st.sampled_from(keys), max_size=2)) if keys else [])
    expected = {f"op-{key}": "rejected" if key in vendor.bad | vendor.poison else "acked" for key in keys}
    assert verdicts(send(rows(*keys))) == expected


def test_a_poisoned_row_of_many_is_found_in_few_calls(send, httpserver):
    vendor = Vendor(httpserver)
    vendor.poison = {"37"}
    outcomes = send(rows(*map(str, range(64))), max_rows=64)
    assert [op_id for op_id, outcome in outcomes.items() if outcome.verdict is Verdict.REJECTED] == ["op-37"]
    assert len(vendor.batches) <= 1 + 2 * math.log2(64)


def test_batches_keep_to_rows_and_bytes_and_hold_no_key_twice(send, httpserver):
    vendor = Vendor(httpserver)
    given = [*rows("a", "b"), Row("again", '{"id":"a"}', key="a"), *rows("é" * 30, "c", "d", "e")]
    outcomes = send(given, max_bytes=90)
    assert set(verdicts(outcomes).values()) == {"acked"}
    assert [ids for ids, _, _ in vendor.batches] == [["a", "b"], ["a"], ["é" * 30], ["c", "d", "e"]]
    assert max(size for _, size, _ in vendor.batches) <= 90


def test_a_row_that_fits_into_no_request_is_rejected_and_not_sent(send, httpserver):
    vendor = Vendor(httpserver)
    outcomes = send(rows("x" * 100, "a"), max_bytes=90)
    assert verdicts(outcomes) == {f"op-{'x' * 100}": "rejected", "op-a": "acked"}
    assert [ids for ids, _, _ in vendor.batches] == [["a"]]


def test_a_repetition_has_the_same_name(send, httpserver):
    vendor = Vendor(httpserver)
    send(rows("a", "b"))
    send(rows("a", "b"))
    send(rows("a"))
    names = [name for _, _, name in vendor.batches]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        '{"results": []}',
        '{"results": [{"id": "z"}]}',
        '{"count": 2}',
        "<html>",
        '{"results": "a b"}',
        '{"results": [{"id": ["a"]}, {"id": null}]}',
    ],
)
def test_an_answer_that_does_not_name_the_rows_leaves_them_in_doubt(send, httpserver, body):
    Vendor(httpserver, lambda ids: Response(body))
    assert set(verdicts(send(rows("a", "b"))).values()) == {"in_doubt"}


def test_silence_means_success_only_where_the_endpoint_says_so_and_every_error_is_attributed(send, httpserver):
    Vendor(httpserver, lambda ids: Response('{"errors": [{"context": {"ids": ["a"]}, "category": "BAD"}]}'))
    assert verdicts(send(rows("a", "b"), silence="acked")) == {"op-a": "rejected", "op-b": "acked"}
    Vendor(httpserver, lambda ids: Response('{"errors": [{"context": {"ids": ["somebody"]}, "category": "BAD"}]}'))
    assert verdicts(send(rows("a", "b"), silence="acked")) == {"op-a": "in_doubt", "op-b": "in_doubt"}


def test_an_acknowledgement_does_not_outweigh_an_error_for_the_same_row(send, httpserver):
    Vendor(httpserver, lambda ids: Response('{"results": [{"id": "a"}], "errors": [{"context": {"ids": ["a"]}, "category": "LOCKED"}]}'))
    assert send(rows("a")) == {"op-a": Outcome(Verdict.RETRY, "LOCKED")}


def test_a_code_that_names_the_person_is_not_kept(send, httpserver):
    Vendor(httpserver, lambda ids: Response('{"errors": [{"context": {"ids": ["ann"]}, "category": "NO_ANN_HERE"}]}'))
    assert send(rows("ann"))["op-ann"] == Outcome(Verdict.REJECTED, "the vendor gives no code word for why")


def test_rows_behind_a_wait_too_long_are_put_off_with_its_end_and_not_tried(send, httpserver):
    def answer(ids):
        return Response(json.dumps({"results": [{"id": id} for id in ids]})) if "a" in ids else Response("", 429, {"Retry-After": "900"})

    vendor = Vendor(httpserver, answer)
    outcomes = send(rows(*"abcdefghijkl"))
    assert set(list(outcomes.values())[4:]) == {Outcome(Verdict.RETRY, "http 429", datetime.fromtimestamp(NOW + 900, UTC))}
    assert verdicts(outcomes)["op-d"] == "acked"
    assert len(vendor.batches) == 2


@pytest.mark.parametrize(("status", "error"), [(401, ConfigError), (403, ConfigError), (400, DestinationError)])
def test_a_refusal_of_everything_is_an_error_only_while_nothing_was_sent(send, httpserver, status, error):
    Vendor(httpserver, lambda ids: Response("canary", status))
    with pytest.raises(error) as raised:
        send(rows("a"))
    assert "canary" not in str(raised.value)
    Vendor(httpserver, lambda ids: Response(json.dumps({"results": [{"id": id} for id in ids]})) if "a" in ids else Response("", status))
    outcomes = send(rows(*"abcde"))
    assert list(verdicts(outcomes).values()) == ["acked"] * 4 + ["retry"]


def test_rows_the_vendor_skips_are_rejected(send, httpserver):
    Vendor(httpserver, lambda ids: Response("", 404))
    assert set(verdicts(send(rows("a", "b"))).values()) == {"rejected"}


def test_nothing_is_sent_when_there_is_nothing_to_send(send, httpserver):
    vendor = Vendor(httpserver)
    assert send([]) == {}
    assert vendor.batches == []


def test_rows_are_made_when_their_request_is_sent(send, httpserver):
    vendor, requests_before = Vendor(httpserver), []

    def made():
        for row in rows(*"abcdefghijkl"):
            requests_before.append(len(vendor.batches))
            yield row

    assert set(verdicts(send(made())).values()) == {"acked"}
    assert requests_before == [0] * 5 + [1] * 4 + [2] * 3  # the first row of a request shows that the one before is full
