"""What answers mean."""

import json

import pytest
from pydantic import ValidationError

from connectors.http.client import Answered
from connectors.http.rules import Action, Condition, Judgement, RowAnswer, RowAnswers, Rule, judge, row_answers
from connectors.types import Verdict


def answer(status=200, body=b"", **headers):
    body = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return Answered(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def rules(*given):
    return [Rule.model_validate(one) for one in given]


@pytest.mark.parametrize(
    ("status", "action", "maybe_applied"),
    [
        (200, Action.OK, False),
        (204, Action.OK, False),
        (302, Action.FAIL_CONFIG, False),
        (400, Action.FAIL_PERMANENT, False),
        (401, Action.FAIL_CONFIG, False),
        (403, Action.FAIL_CONFIG, False),
        (408, Action.RETRY, False),
        (409, Action.FAIL_PERMANENT, False),
        (418, Action.FAIL_PERMANENT, False),
        (429, Action.RATE_LIMITED, False),
        (500, Action.RETRY, True),
        (502, Action.RETRY, True),
        (503, Action.RATE_LIMITED, False),
        (504, Action.RETRY, True),
    ],
)
def test_without_rules_the_status_decides_and_an_unknown_4xx_is_permanent(status, action, maybe_applied):
    found = judge(answer(status), [], None)
    assert (found.action, found.maybe_applied) == (action, maybe_applied)


def test_the_first_rule_that_fits_decides():
    given = rules(
        {"status": 400, "json": {"$.code": [601, "602"]}, "do": "REFRESH_TOKEN"},
        {"status": "4xx", "header": {"X-Limit": "^dai"}, "do": "RATE_LIMITED", "say": "the day's limit"},
        {"text": "lock", "do": "RETRY"},
    )
    assert judge(answer(400, {"code": "602"}), given, None).action is Action.REFRESH_TOKEN
    assert judge(answer(404, x_limit="daily"), given, None) == Judgement(Action.RATE_LIMITED, "the day's limit (http 404)")
    assert judge(answer(400, b"row lock"), given, None).action is Action.RETRY
    assert judge(answer(400, {"code": 602}), given, None).action is Action.FAIL_PERMANENT


def test_a_2xx_is_no_success_unless_success_when_holds():
    success = Condition.model_validate({"json": {"$.success": True}})
    assert judge(answer(200, {"success": True}), [], success).action is Action.OK
    for body in ({"success": False}, {"success": 1}, {"success": "true"}, {}, b"", b"<html>"):
        found = judge(answer(200, body), [], success)
        assert (found.action, found.maybe_applied) == (Action.IN_DOUBT, True)


def test_an_answer_that_broke_off_is_no_success():
    found = judge(answer(200, None), [], None)
    assert (found.action, found.maybe_applied) == (Action.RETRY, True)


def test_presence_and_patterns_can_be_asked_for():
    condition = Condition.model_validate({"json": {"$.errors[*]": {"present": True}, "$.errors[*].code": {"matches": "^6\\d\\d$"}}})
    assert condition.holds(answer(200, {"errors": [{"code": 700}, {"code": "606"}]}))
    assert not condition.holds(answer(200, {"errors": [{"code": 7606}]}))
    assert not condition.holds(answer(200, {"errors": []}))


def test_rows_are_named_by_the_vendors_key_or_by_their_place():
    body = {"results": [{"id": 7, "trace": ["a"]}], "errors": [{"trace": ["b", "c"], "code": "BAD"}], "list": [{"s": "ok"}, {"s": "no", "why": 1004}]}
    by_key = [
        RowAnswers.model_validate({"each": "$.results[*]", "verdict": "acked", "key": "@.trace[0]"}),
        RowAnswers.model_validate({"each": "$.errors[*]", "verdict": "rejected", "key": "@.trace[*]", "code": "@.code"}),
    ]
    assert list(row_answers(answer(207, body), by_key)) == [
        RowAnswer("a", Verdict.ACKED),
        RowAnswer("b", Verdict.REJECTED, "BAD"),
        RowAnswer("c", Verdict.REJECTED, "BAD"),
    ]
    by_place = [RowAnswers.model_validate({"each": "$.list[?@.s == 'no']", "verdict": "rejected", "code": "@.why"})]
    assert list(row_answers(answer(200, body), by_place)) == [RowAnswer(1, Verdict.REJECTED, "1004")]


def test_codes_may_mean_later_or_already_so():
    given = {"each": "$[*]", "verdict": "rejected", "code": "@.c", "retry": ["LOCK"], "ok": ["1015"]}
    found = row_answers(answer(200, [{"c": "LOCK"}, {"c": 1015}, {"c": "BAD"}]), [RowAnswers.model_validate(given)])
    assert [one.verdict for one in found] == [Verdict.RETRY, Verdict.ACKED, Verdict.REJECTED]


@pytest.mark.parametrize(
    "rule",
    [
        {"do": "SHRUG"},
        {"status": 700, "do": "OK"},
        {"status": "5x", "do": "OK"},
        {"json": {"code": 1}, "do": "OK"},
        {"text": "(", "do": "OK"},
        {"do": "OK", "x": 1},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_it_is_read(rule):
    with pytest.raises(ValidationError):
        Rule.model_validate(rule)
