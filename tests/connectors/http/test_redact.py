"""Secrets and persons do not reach texts."""

import base64
import io
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http.redact import Redactor, shown_url

SECRET = "pat-eu1-ä/b+c=="


@given(st.text(min_size=4, max_size=30), st.text(), st.text())
def test_a_known_secret_disappears_from_any_text(secret, before, after):
    assert secret not in Redactor([secret]).clean(f"{before}{secret}{after}").replace("***", "") or secret in before + after + "***"


@pytest.mark.parametrize("form", [SECRET, quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode()])
def test_encoded_forms_disappear_too(form):
    assert Redactor([SECRET]).clean(f"GET /x?key={form}&a=1") == "GET /x?key=***&a=1"


@pytest.mark.parametrize(
    "text",
    [
        "to ann.b+c@mail.example.org!",
        "ann%40example.org",
        "call +49 (30) 1234-5678 now",
        "Authorization: Bearer abc.def",
        "api_key=abc",
        "password: hunter2",
    ],
)
def test_what_looks_like_a_person_or_a_credential_disappears(text):
    assert not set(Redactor().clean(text).replace("***", "").split()) & {
        "ann.b+c@mail.example.org!",
        "ann%40example.org",
        "1234-5678",
        "abc.def",
        "hunter2",
    }
    assert "***" in Redactor().clean(text)


@pytest.mark.parametrize("text", ["http 503", "PUT /things: RETRY", "2026-01-01", "12,345 rows in 1.25 s", "error 1004"])
def test_ordinary_words_stay(text):
    assert Redactor([SECRET]).clean(text) == text


def test_as_a_filter_it_cleans_arguments_and_exceptions():
    out = io.StringIO()
    log, handler = logging.getLogger("test redaction"), logging.StreamHandler(out)
    handler.addFilter(Redactor(["canary"]))
    log.addHandler(handler)
    log.propagate = False
    try:
        raise ValueError("canary and ann@example.org")
    except ValueError:
        log.exception("failed for %s", "canary")
    assert out.getvalue().startswith("failed for ***\n")
    assert "ValueError: *** and ***" in out.getvalue()
    assert "canary" not in out.getvalue()


def test_a_url_is_shown_without_query_credentials_and_persons():
    assert shown_url("https://u:p@x.example:8443/v1/ann%40x.org/ann@x.org/items?token=1#a") == "https://x.example:8443/v1/***/***/items"
