"""Values in the form platforms match by: the platforms' own examples, and laws that hold for every rule."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import ConfigError
from connectors.normalise import normaliser, rules, steps
from connectors.registry import load_registry

RULES = rules().values()
VECTORS = [
    pytest.param(rule, given, wanted, id=f"{rule.name} {given}") for rule in RULES for given, wanted in {**rule.vectors, **rule.own_vectors}.items()
]
PHONES = {"uid2": "+12345678901", "meta": "12345678901"}


@pytest.mark.parametrize(("rule", "given", "wanted"), VECTORS)
def test_examples_come_out_as_published(rule, given, wanted):
    assert rule(given) == wanted


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_says_where_and_when_it_was_read_and_is_made_of_known_steps(rule):
    assert rule.source
    assert isinstance(rule.read_on, date)
    assert re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+@\d{4}-\d{2}", rule.name)
    assert all(callable(getattr(steps, name)) for name in rule.steps)
    assert ("sha256" in rule.steps) == (rule.steps[-1] in {"hex", "base64"})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@given(text=st.text(max_size=40))
def test_no_text_breaks_a_rule_and_what_it_hides_is_hidden(rule, text):
    result = rule(text)
    assert result is None or isinstance(result, str)
    if result is not None and rule.hashes:
        assert len(result) == (64 if rule.steps[-1] == "hex" else 44)


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.hashes], ids=lambda rule: rule.name)
@given(text=st.text(max_size=20))
def test_a_value_in_its_form_stays(rule, text):
    once = rule(text)
    assert once is None or rule(once) == once


@pytest.mark.parametrize("value", ["", " ", "ann", "ann@", "@x.org", "a b@x.org", "ann@x"])
def test_what_is_no_address_is_no_key(value):
    assert normaliser("meta", "email")(value) is None


@pytest.mark.parametrize("value", ["", "0664 123456", "+0 123", "12345", "+123456789012345678", "call me"])
def test_a_number_without_country_code_is_no_key(value):
    assert all(normaliser(platform, "phone")(value) is None for platform in ("meta", "google", "uid2", "dv360"))


def test_platforms_differ_where_their_documents_do():
    address = "Jane.Saoirse+Work@gmail.com"
    assert len({normaliser(platform, "email")(address) for platform in ("uid2", "google", "meta")}) == 3
    assert normaliser("google", "country")(" at ") == "AT"
    assert normaliser("meta", "city")("St. Pölten") == normaliser("meta", "city")("stpölten")


def test_the_rules_of_a_day_are_those_that_held_then():
    assert normaliser("uid2", "email", date(2026, 9, 1)) is rules()["uid2.email@2026-08"]
    with pytest.raises(ConfigError, match="no rules for email at uid2 on 2026-07-31"):
        normaliser("uid2", "email", date(2026, 7, 31))
    with pytest.raises(ConfigError, match="there are no rules"):
        normaliser("uid2", "shoe_size")


def test_the_registry_offers_them_beside_those_of_plug_ins():
    assert load_registry().normalisers["meta.email@2026-01"](" John_Smith@gmail.com ") == rules()["meta.email@2026-01"]("john_smith@gmail.com")
