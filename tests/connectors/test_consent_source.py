"""A consent provider that is no source is read as one: its decisions become statements, told twice or not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from seg_connector_acme.connectors import AcmeConsents
from seg_connector_acme.stand_in import SECRETS, Acme

from connectors.conformance import source_fault
from connectors.consent_source import SCHEMA, as_source
from connectors.types import Consent, ConsentChange, Decision


@pytest.fixture
def source(context):
    made = as_source(AcmeConsents)
    with Acme().running() as acme:
        settings = {"url": acme.url, "client_secret": SECRETS["client_secret"], "refresh_token": SECRETS["refresh_token"]}
        yield made(made.config_model.model_validate(settings))


def statements(source, context, cursor=None):
    return [row for page in source.read("consents", cursor, context) for row in page.rows.to_pylist()]


def test_it_conforms_and_has_the_providers_id():
    assert source_fault(as_source(AcmeConsents)) is None
    assert as_source(AcmeConsents).meta.id == "acme"


def test_every_decision_is_a_statement_that_says_whose_it_is(source, context):
    told = statements(source, context)
    assert len(told) == 8
    assert {row["state"] for row in told} == {"granted", "denied"}
    assert all(row["email"].startswith("canary-") and row["purpose"] in {"ads", "mail"} for row in told)


def test_reading_goes_on_behind_the_cursor(source, context):
    pages = list(source.read("consents", None, context))
    assert len(statements(source, context, pages[0].cursor)) == 8 - pages[0].rows.num_rows


def test_a_decision_that_is_told_twice_has_one_id_and_an_unknown_one_denies(context):
    decided = datetime(2026, 1, 1, tzinfo=UTC)
    change = ConsentChange({"email": "ann@example.org"}, "ads", Decision(Consent.UNKNOWN, decided))

    class Repeats(AcmeConsents):
        def changes(self, cursor, context):
            yield [change], {"n": 1}
            yield [change], {"n": 2}

    told = statements(as_source(Repeats)(AcmeConsents.config_model(url="https://unset.invalid", client_secret="a", refresh_token="b")), context)
    assert len({row["consent_id"] for row in told}) == 1
    assert told[0]["state"] == "denied"
    assert told[0]["stated_at"] == decided.isoformat()
    assert list(told[0]) == SCHEMA.names
