"""`ConsentContract`: whatever happens, nobody is taken to have allowed what they did not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from connectors.conformance import consent_provider_fault
from connectors.errors import ConfigError, ConnectorError
from connectors.testkit.proxy import Answer, Distort, Lose, Replay, reversed_lists
from connectors.testkit.world import CANARY, Contract, World, nobody, said, spilled
from connectors.types import Consent, ConsentChange, Decision, Subject

_PATIENCE = 60


class ConsentContract(Contract):
    """What a consent provider must do. See `Contract` for what to write, and also the methods below."""

    def known(self, vendor: Any) -> Sequence[tuple[Subject, str, Consent]]:
        """Subjects, purposes and decisions the stand-in holds, allowed and denied; enough for several pages. Identifiers hold the word canary."""
        raise NotImplementedError

    def unknown(self, vendor: Any) -> Subject:
        """A subject the stand-in does not know."""
        raise NotImplementedError

    def withdraw(self, vendor: Any, subject: Subject, purpose: str) -> None:
        """Has a subject deny a purpose, at the same instant as the newest decision."""
        raise NotImplementedError

    def _decide(self, world: World, provider: Any = None) -> dict[tuple[str, str], Decision]:
        """Decisions of all known subjects and purposes, and of somebody unknown; what is missing counts as unknown."""
        known = self.known(world.vendor)
        subjects = {subject.ref: subject for subject, _, _ in known} | {(stranger := self.unknown(world.vendor)).ref: stranger}
        found: dict[tuple[str, str], Decision] = {}
        for purpose in dict.fromkeys(purpose for _, purpose, _ in known):
            given = (provider or world.make()).decide(list(subjects.values()), purpose, world.context)
            assert set(given) <= set(subjects), "decisions of subjects nobody asked about"
            found |= {(ref, purpose): given.get(ref, Decision(Consent.UNKNOWN)) for ref in subjects}
        return found

    def _unallowed(self, world: World) -> set[tuple[str, str]]:
        """Allowed by the provider's answer, and not in truth."""
        truth = {(subject.ref, purpose) for subject, purpose, consent in self.known(world.vendor) if consent is Consent.ALLOW}
        return {key for key, decision in self._decide(world).items() if decision.consent is Consent.ALLOW} - truth

    def _changes(self, world: World, cursor: Mapping[str, Any] | None = None) -> list[tuple[Sequence[ConsentChange], Mapping[str, Any]]]:
        return list(world.make().changes(cursor, world.context))

    def test_the_class_conforms(self) -> None:
        assert consent_provider_fault(self.connector) is None

    def test_decisions_are_those_that_were_made(self, world: World) -> None:
        decisions = self._decide(world)
        assert all(decisions[subject.ref, purpose].consent is consent for subject, purpose, consent in self.known(world.vendor))

    def test_who_is_not_known_has_allowed_nothing(self, world: World) -> None:
        stranger = self.unknown(world.vendor).ref
        assert {one.consent for (ref, _), one in self._decide(world).items() if ref == stranger} <= {Consent.UNKNOWN, Consent.DENY}

    def test_purposes_are_those_decisions_are_about(self, world: World) -> None:
        assert {purpose for _, purpose, _ in self.known(world.vendor)} <= set(world.make().purposes(world.context))

    def test_a_withdrawal_counts_at_once(self, world: World) -> None:
        subject, purpose = next((subject, purpose) for subject, purpose, consent in self.known(world.vendor) if consent is Consent.ALLOW)
        assert self._decide(world)[subject.ref, purpose].consent is Consent.ALLOW
        provider = world.make()
        self._decide(world, provider)
        self.withdraw(world.vendor, subject, purpose)
        assert self._decide(world, provider)[subject.ref, purpose].consent is Consent.DENY

    @pytest.mark.parametrize(
        "fault",
        [
            Distort(reversed_lists),
            Answer(200, body=b"{}"),
            Answer(200, body=b"[]"),
            Answer(200),
            Answer(500),
            Answer(503),
            Answer(429),
            Answer(404),
            Lose(),
        ],
        ids=["other order", "{}", "[]", "empty", "500", "503", "429", "404", "lost"],
    )
    def test_no_failure_turns_into_permission(self, world: World, fault: Answer | Distort | Lose) -> None:
        world.wire.always = fault
        try:
            assert not self._unallowed(world)
        except ConnectorError:
            return
        assert len(world.wire.hits) <= _PATIENCE * 10

    def test_all_changes_are_told_from_any_page_on(self, world: World) -> None:
        whole = self._changes(world)
        wanted = {_mark(change) for page, _ in whole for change in page}
        assert len(wanted) >= len({(subject.ref, purpose) for subject, purpose, _ in self.known(world.vendor)})
        for end in range(1, len(whole)):
            cursor = json.loads(json.dumps(whole[end - 1][1]))
            pages = [*whole[:end], *self._changes(world, cursor)]
            assert {_mark(change) for page, _ in pages for change in page} == wanted, f"differs when reading goes on after page {end}"

    def test_changes_of_the_newest_instant_are_not_skipped(self, world: World) -> None:
        cursor = self._changes(world)[-1][1]
        subject, purpose = next((subject, purpose) for subject, purpose, consent in self.known(world.vendor) if consent is Consent.ALLOW)
        self.withdraw(world.vendor, subject, purpose)
        told = [change for page, _ in self._changes(world, cursor) for change in page]
        assert any(change.purpose == purpose and change.decision.consent is Consent.DENY for change in told)

    def test_a_vendor_that_leads_in_a_circle_is_an_error(self, world: World) -> None:
        if len(self._changes(world)) < 2:
            pytest.skip("fewer than two pages")
        world.wire.seen, world.wire.coming, world.wire.always = [], [None, *[Replay()] * _PATIENCE], Answer(400)
        with pytest.raises(ConnectorError):
            self._changes(world)
        assert len(world.wire.hits) <= _PATIENCE, "paging went on and on"

    def test_refused_credentials_are_the_users_to_mend(self, world: World) -> None:
        world.wire.always = Answer(401)
        with pytest.raises(ConfigError) as error:
            self._decide(world)
        assert error.value.hint, "say what the user can do"

    def test_nobody_listening_is_an_error_or_unknown(self, world: World) -> None:
        try:
            decisions = self._decide(world, world.make(nobody()))
        except ConnectorError:
            return
        assert {one.consent for one in decisions.values()} == {Consent.UNKNOWN}

    def test_neither_secrets_nor_persons_are_said_or_kept(self, world: World) -> None:
        provider, texts = world.make(), list[str]()
        for fault in (None, Answer(400, body=f"{CANARY}@example.org".encode()), Answer(500), Answer(401), Lose(), Answer(200, body=b"{")):
            world.wire.always = fault
            try:
                texts += [repr(one) for one in self._decide(world, provider).values()]
                texts += [text for page, cursor in provider.changes(None, world.context) for text in (repr(page), json.dumps(cursor))]
            except ConnectorError as error:
                texts += said(error)
        assert not spilled(world, *texts, repr(provider))


def _mark(change: ConsentChange) -> tuple[str, ...]:
    return (*(f"{kind}={value}" for kind, value in sorted(change.identifiers.items())), change.purpose, change.decision.consent)
