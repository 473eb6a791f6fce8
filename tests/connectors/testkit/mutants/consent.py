"""Consent providers that break a law of theirs."""

from dataclasses import replace
from functools import cached_property

from seg_connector_acme.connectors import AcmeConsents
from seg_connector_acme.contracts import Consents

from connectors.testkit import ConsentContract
from seg_assets.sdk import (
    ConfigError,
    Consent,
    ConsentChange,
    Decision,
    SourceError,
)
from tests.connectors.testkit.mutants.register import ONCE, breaks


@breaks(Consents, "test_the_class_conforms")
class AsyncDecisions(AcmeConsents):
    async def decide(self, subjects, purpose, context): ...


def decided(change):
    def decide(self, subjects, purpose, context):
        return change(AcmeConsents.decide(self, subjects, purpose, context), subjects)

    return decide


@breaks(Consents, "test_decisions_are_those_that_were_made")
@breaks(Consents, "test_who_is_not_known_has_allowed_nothing")
class AllowsEverybody(AcmeConsents):
    decide = decided(lambda given, subjects: {one.ref: Decision(Consent.ALLOW) for one in subjects})


@breaks(Consents, "test_purposes_are_those_decisions_are_about")
class KnowsNoPurposes(AcmeConsents):
    def purposes(self, context):
        return []


@breaks(Consents, "test_a_withdrawal_counts_at_once")
class Remembers(AcmeConsents):
    @cached_property
    def known(self):
        return {}

    def decide(self, subjects, purpose, context):
        return self.known.setdefault(purpose, None) or self.known.update({purpose: super().decide(subjects, purpose, context)}) or self.known[purpose]


CONSENT_FAULTS = next(mark.args[1] for mark in ConsentContract.test_no_failure_turns_into_permission.pytestmark)


class AllowsOnFailure(AcmeConsents):
    spec = ONCE

    def decide(self, subjects, purpose, context):
        try:
            return super().decide(subjects, purpose, context)
        except SourceError:
            return {one.ref: Decision(Consent.ALLOW) for one in subjects}


class CountsDecisions(AcmeConsents):
    def decide(self, subjects, purpose, context):
        given = list(super().decide(subjects, purpose, context).values())
        return {one.ref: decision for one, decision in zip(subjects, given, strict=False)}


breaks(Consents, "test_no_failure_turns_into_permission", CONSENT_FAULTS[0])(CountsDecisions)
for _fault in CONSENT_FAULTS[1:]:
    breaks(Consents, "test_no_failure_turns_into_permission", _fault)(AllowsOnFailure)
breaks(Consents, "test_nobody_listening_is_an_error_or_unknown")(AllowsOnFailure)


@breaks(Consents, "test_all_changes_are_told_from_any_page_on")
class CursorTooFar(AcmeConsents):
    def changes(self, cursor, context):
        return ((page, {"after": 99}) for page, _ in super().changes(cursor, context))


@breaks(Consents, "test_changes_of_the_newest_instant_are_not_skipped")
class SkipsTheNext(AcmeConsents):
    def changes(self, cursor, context):
        return super().changes({"after": cursor["after"] + 1} if cursor else None, context)


@breaks(Consents, "test_a_vendor_that_leads_in_a_circle_is_an_error")
class GoesInCircles(AcmeConsents):
    def changes(self, cursor, context):
        for _ in range(501):
            rows = self.api.read("changes", context, query={"after": (cursor or {}).get("after", -1)}).json["changes"]
            if not rows:
                return
            cursor = {"after": rows[-1]["seq"]}
            yield [ConsentChange({"email": one["email"]}, one["purpose"], Decision(self.words[one["choice"]])) for one in rows], cursor


@breaks(Consents, "test_refused_credentials_are_the_users_to_mend")
class CallsRefusalUnknown(AcmeConsents):
    def decide(self, subjects, purpose, context):
        try:
            return super().decide(subjects, purpose, context)
        except ConfigError:
            return {}


@breaks(Consents, "test_neither_secrets_nor_persons_are_said_or_kept")
class NamesWhoDecided(AcmeConsents):
    decide = decided(lambda given, subjects: {ref: replace(one, evidence=subjects[0].identifiers["email"]) for ref, one in given.items()})
