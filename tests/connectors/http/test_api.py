"""One call and everything that happens until it is over, against a loopback server and a clock that does not wait."""

import gc
import json
import socket
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from werkzeug import Request, Response

from connectors.errors import ConfigError, SourceError
from connectors.http import Action

NOW = 1_767_225_600.0


@pytest.fixture
def script(httpserver):
    """Makes the server give these answers in turn; returns the requests it saw."""

    def play(*answers):
        seen, left = [], list(answers)

        def answer(request: Request) -> Response:
            seen.append(request)
            request.get_data()
            status, body, headers = left.pop(0) if len(left) > 1 else left[0]
            return Response(body if isinstance(body, str) else json.dumps(body), status, headers)

        httpserver.clear()
        httpserver.expect_request("/things").respond_with_handler(answer)
        return seen

    return play


def ok(body="{}", **headers):
    return 200, body, {name.replace("_", "-"): value for name, value in headers.items()}


def fails(status, body="", **headers):
    return status, body, {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def nobody():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_passing_failure_is_waited_out_with_growing_pauses(vendor, context, clock, script, status):
    seen = script(fails(status), fails(status), ok())
    assert vendor().call("put", context).action is Action.OK
    assert len(seen) == 3
    assert 0.25 <= clock.slept[0] <= 0.5 <= clock.slept[1] <= 1


@pytest.mark.parametrize(("text", "seconds"), [("7", 7), ("Thu, 01 Jan 2026 00:00:40 GMT", 40), (str(int(NOW) + 20), 20)])
def test_the_vendors_wish_is_kept_when_it_is_longer_than_our_pause(vendor, context, clock, script, text, seconds):
    script(fails(429, Retry_After=text), ok())
    assert vendor().call("post", context).action is Action.OK
    assert clock.slept == [seconds]


def test_a_wait_longer_than_patience_is_not_waited_for(vendor, context, clock, script):
    seen = script(fails(429, Retry_After="3600"))
    api = vendor()
    for _ in range(2):
        reply = api.call("post", context)
        assert (reply.action, reply.not_before) == (Action.RETRY, NOW + 3600)
    assert clock.slept == []
    assert len(seen) == 2


def test_a_limit_of_the_vendor_stops_other_calls_of_the_same_budget_before_they_are_sent(vendor, context, clock, script):
    seen = script(fails(429, Retry_After="3600"))
    limits = {"all": {"windows": [{"n": 100, "per": "10s"}], "source": "test", "read_on": "2026-01-01"}}
    vendor(budgets=limits).call("post", context)
    reply = vendor(budgets=limits).call("get", context)
    assert (reply.action, reply.not_before, len(seen)) == (Action.RETRY, NOW + 3600, 1)


def test_nothing_is_waited_for_past_the_deadline(vendor, context, clock, script):
    script(fails(429, Retry_After="7"))
    reply = vendor().call("post", replace(context, deadline=datetime.fromtimestamp(NOW + 5, UTC)))
    assert (reply.action, reply.not_before, clock.slept) == (Action.RETRY, NOW + 7, [])


def test_what_was_never_sent_is_tried_again_even_where_repeating_would_double(vendor, context, clock, nobody):
    reply = vendor(base_url=nobody).call("post", context)
    assert (reply.action, reply.unreachable, reply.reason) == (Action.RETRY, True, "can't be reached: connect error")
    assert len(clock.slept) == 4


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_failure_halfway_is_in_doubt_where_repeating_would_double(vendor, context, script, status):
    seen = script(fails(status), ok())
    assert vendor().call("post", context).action is Action.IN_DOUBT
    assert len(seen) == 1


def test_a_failure_halfway_that_never_ends_well_is_in_doubt_and_not_undone(vendor, context, script):
    script(fails(500), fails(429))
    assert vendor().call("put", context).action is Action.IN_DOUBT


def test_an_answer_that_breaks_off_is_sent_again_only_where_that_is_harmless(vendor, context, script):
    seen = script(ok("x" * 2_000), ok())
    assert vendor(max_answer=1024).call("put", context).action is Action.OK
    seen = script(ok("x" * 2_000), ok())
    assert vendor(max_answer=1024).call("post", context).action is Action.IN_DOUBT
    assert len(seen) == 1


def test_secrets_path_values_and_bodies_travel_as_they_should(vendor, context, httpserver):
    seen = []
    httpserver.expect_request("/people/ann/x@example.org").respond_with_handler(lambda request: seen.append(request) or Response("{}"))
    api = vendor(
        {"api_key": "k3y-é"},
        auth={"type": "api_key", "query": "hapikey"},
        headers={"X-Version": "1"},
        endpoints={"person": {"method": "PATCH", "path": "/people/{id}", "query": {"a": "1"}}},
    )
    assert api.call("person", context, path={"id": "ann/x@example.org"}, query={"b": ["2", "3"], "c": None}, json={"n": "é"}).action is Action.OK
    (request,) = seen
    assert request.environ["REQUEST_URI"].startswith("/people/ann%2Fx%40example.org?")
    assert (request.args.to_dict(flat=False), request.headers["X-Version"]) == ({"a": ["1"], "b": ["2", "3"], "hapikey": ["k3y-é"]}, "1")
    assert (request.get_data(), request.headers["Content-Type"]) == ('{"n":"é"}'.encode(), "application/json")


def test_a_missing_secret_is_told_by_name(vendor, context):
    with pytest.raises(ConfigError, match="gives no token"):
        vendor(auth={"type": "bearer"}).call("get", context)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [(401, ConfigError, "credentials are refused"), (403, ConfigError, "permission"), (400, SourceError, "http 400"), (301, ConfigError, "redirect")],
)
def test_a_source_hears_of_anything_but_success(vendor, context, script, status, error, words):
    script(fails(status, "canary", Location="https://elsewhere.example/"))
    with pytest.raises(error, match=words) as raised:
        vendor().read("get", context)
    assert "canary" not in str(raised.value)
    assert "elsewhere" not in str(raised.value)


def test_what_calls_cost_is_counted(vendor, context, script):
    script(fails(503, Retry_After="2"), ok('{"a": 1}'))
    api = vendor()
    api.call("put", context, json=[1])
    assert (api.cost.calls, api.cost.waited, api.cost.sent, api.cost.received) == (2, 2, 6, 8)


def test_what_a_connector_logs_itself_is_cleaned_while_there_is_an_api(vendor, context, script, caplog):
    script(ok())
    api = vendor({"token": "canary-token"}, auth={"type": "bearer"})
    api.call("get", context)
    context.log.warning("%s with %s", "ann@example.org", "canary-token")
    assert caplog.records[-1].getMessage() == "*** with ***"
    before = len(context.log.filters)
    del api
    gc.collect()
    assert len(context.log.filters) < before


def test_neither_secret_nor_body_is_logged(vendor, context, script, caplog):
    caplog.set_level("DEBUG")
    script(fails(500, "canary-body"), ok('"canary-body"'))
    vendor({"token": "canary-token"}, auth={"type": "bearer"}).call("put", context, json="canary-person", query={"q": "canary-query"})
    ours = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]
    assert "PUT /things: RETRY http 500" in ours
    assert not [text for text in ours if "canary" in text]
