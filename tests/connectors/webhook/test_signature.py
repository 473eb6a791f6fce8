"""Signing and verifying, as any receiver would do it."""

import hashlib
import hmac

import pytest

from connectors.webhook.signature import sign, signature_fault

SECRET, BODY, AT = "secret", b'{"a":1}', 1_000


def test_the_signature_is_hmac_sha256_of_time_and_body():
    assert sign(SECRET, BODY, AT) == f"t=1000,v1={hmac.new(b'secret', b'1000.' + BODY, hashlib.sha256).hexdigest()}"


@pytest.mark.parametrize("now", [700, 1_000, 1_300])
def test_a_signature_within_five_minutes_is_believed(now):
    assert signature_fault(SECRET, BODY, sign(SECRET, BODY, AT), now) == ""


@pytest.mark.parametrize("now", [699, 1_301])
def test_a_replayed_request_is_not_believed(now):
    assert "too old or from the future" in signature_fault(SECRET, BODY, sign(SECRET, BODY, AT), now)


@pytest.mark.parametrize(
    ("secret", "body", "change"),
    [("other", BODY, str), (SECRET, BODY + b" ", str), (SECRET, BODY, lambda header: header.replace("t=1000", "t=1001"))],
)
def test_another_key_body_or_time_is_a_wrong_signature(secret, body, change):
    assert signature_fault(secret, body, change(sign(SECRET, BODY, AT)), AT) == "wrong signature"


@pytest.mark.parametrize("header", ["", "x", "t=1000", "v1=00", "t=,v1=00", "t=-5,v1=00", "t=١,v1=00", "t=1,t=2,v1=00", "t=1.5,v1=00"])
def test_a_header_that_is_no_signature_is_told_as_such(header):
    assert signature_fault(SECRET, BODY, header, AT) == "no usable signature"


def test_one_fitting_signature_of_several_is_enough_while_a_key_is_changed():
    assert signature_fault(SECRET, BODY, f"{sign('old', BODY, AT)},{sign(SECRET, BODY, AT).split(',')[1]}", AT) == ""
    assert signature_fault(SECRET, BODY, sign(SECRET, BODY, AT) + ",v1=é", AT) == ""
