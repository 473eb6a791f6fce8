"""Enrichers that break a law of theirs."""

from dataclasses import replace
from decimal import Decimal

from seg_connector_acme.connectors import AcmeEnricher
from seg_connector_acme.contracts import Enricher

from connectors.testkit import EnricherContract
from seg_assets.sdk import (
    ConfigError,
    Enrichment,
    FieldDef,
    Match,
    Outcome,
    Verdict,
)
from tests.connectors.testkit.mutants.register import breaks


@breaks(Enricher, "test_the_class_conforms")
class WantsMore(AcmeEnricher):
    def __init__(self, config, client): ...


@breaks(Enricher, "test_fields_are_declared_without_a_request")
class NamelessFields(AcmeEnricher):
    def fields(self):
        return [FieldDef("city"), FieldDef("age")]


@breaks(Enricher, "test_a_quote_spends_nothing_and_is_never_too_low")
class PaysForQuotes(AcmeEnricher):
    def quote(self, subjects, fields, context):
        self.api.call("enrich", context, json={"people": [{"ref": "x", "email": "canary-1@example.org"}]})
        return super().quote(subjects, fields, context)


@breaks(Enricher, "test_a_quote_spends_nothing_and_is_never_too_low")
class QuotesTooLow(AcmeEnricher):
    def quote(self, subjects, fields, context):
        return replace(super().quote(subjects, fields, context), most=Decimal(1))


def answers(connector, change):
    """An enricher whose answers are changed."""

    def enrich(self, subjects, fields, context):
        yield from change(list(connector.enrich(self, subjects, fields, context)))

    return enrich


@breaks(Enricher, "test_nobody_gets_another_ones_values")
@breaks(Enricher, "test_known_subjects_match_and_unknown_ones_do_not")
class MixesUp(AcmeEnricher):
    enrich = answers(AcmeEnricher, lambda given: [replace(a, values=b.values, match=b.match) for a, b in zip(given, reversed(given), strict=True)])


@breaks(Enricher, "test_only_what_is_asked_for_is_delivered")
class TellsMore(AcmeEnricher):
    def enrich(self, subjects, fields, context):
        return super().enrich(subjects, ["city", "age"], context)


@breaks(Enricher, "test_nobody_to_ask_about_costs_nothing")
class AsksAnyway(AcmeEnricher):
    def enrich(self, subjects, fields, context):
        if not subjects:
            self.api.call("enrich", context, json={"people": [{"ref": "x", "email": "canary-1@example.org"}]})
        return super().enrich(subjects, fields, context)


class PaysAgain(AcmeEnricher):
    spec = {"endpoints": {"enrich": {"idempotency": "A"}}}  # noqa: RUF012


for _fault in next(mark.args[1] for mark in EnricherContract.test_an_answer_that_was_paid_for_and_lost_is_not_paid_for_again.pytestmark):
    breaks(Enricher, "test_an_answer_that_was_paid_for_and_lost_is_not_paid_for_again", _fault)(PaysAgain)


@breaks(Enricher, "test_a_vendor_that_is_busy_is_asked_later_and_not_hammered", 429)
@breaks(Enricher, "test_nobody_listening_is_not_paid_for")
@breaks(Enricher, "test_a_success_that_says_nothing_is_neither_a_match_nor_none", b"{}")
class CallsFailureNoMatch(AcmeEnricher):
    enrich = answers(AcmeEnricher, lambda given: [one if one.match is Match.MATCH else Enrichment(one.ref, Match.NO_MATCH) for one in given])


@breaks(Enricher, "test_refused_credentials_are_the_users_to_mend")
class HidesRefusal(AcmeEnricher):
    def enrich(self, subjects, fields, context):
        try:
            yield from super().enrich(subjects, fields, context)
        except ConfigError:
            yield from (Enrichment(one.ref, Match.ERROR) for one in subjects)


@breaks(Enricher, "test_purging_twice_is_fine")
class PurgesOnce(AcmeEnricher):
    purged = set()  # noqa: RUF012

    def purge(self, subjects, context):
        verdicts = {one.ref: Outcome(Verdict.REJECTED if one.ref in self.purged else Verdict.ACKED) for one in subjects}
        self.purged.update(verdicts)
        return verdicts


@breaks(Enricher, "test_neither_secrets_nor_persons_are_said_or_kept")
class PersonsInReasons(AcmeEnricher):
    def enrich(self, subjects, fields, context):
        return (replace(one, reason=subjects[0].identifiers["email"]) for one in super().enrich(subjects, fields, context))
