"""References to the environment: looked up when used, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg_assets.errors import Place, ProjectError
from seg_assets.project.secrets import resolve_secret, resolve_secrets


def test_references_are_replaced_however_deep() -> None:
    config = {"url": "https://${HOST}/x", "auth": {"keys": ["${KEY}", "plain", 5, None, True]}, "n": 1.5}
    resolved = resolve_secrets(config, environ={"HOST": "example.com", "KEY": "k"})
    assert resolved == {"url": "https://example.com/x", "auth": {"keys": ["k", "plain", 5, None, True]}, "n": 1.5}
    assert config["url"] == "https://${HOST}/x"


def test_doubled_dollar_stands_for_itself() -> None:
    assert resolve_secret("$${HOST} costs $5 {or} $HOST", environ={"HOST": "no"}) == "${HOST} costs $5 {or} $HOST"


def test_value_of_a_variable_is_not_read_again() -> None:
    assert resolve_secret("${A}", environ={"A": "${B}", "B": "no"}) == "${B}"


def test_empty_variable_is_set() -> None:
    assert resolve_secret("<${A}>", environ={"A": ""}) == "<>"


def test_every_missing_variable_is_named_and_no_value_shown() -> None:
    place = Place(Path("project.yaml"), 7, 5)
    with pytest.raises(ProjectError) as caught:
        resolve_secrets({"a": "${THERE}", "b": ["${ONE}", "${TWO}", "${ONE}"]}, place=place, environ={"THERE": "hunter2"})
    assert "project.yaml:7:5: environment variables not set: ONE, TWO" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_text_without_a_dollar_stays(text: str) -> None:
    plain = text.replace("$", "")
    assert resolve_secret(plain, environ={}) == plain


def test_plug_ins_are_asked_before_the_environment() -> None:
    vault = {"A": "from the vault"}
    assert resolve_secrets({"a": "${A}", "b": "${B}"}, ask=vault.get, environ={"A": "no", "B": "b"}) == {"a": "from the vault", "b": "b"}
