"""`EnricherContract`: nothing is spent unasked or twice, and nobody gets somebody else's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from connectors.conformance import enricher_fault
from connectors.errors import ConfigError, ConnectorError
from connectors.testkit.proxy import Answer, Distort, Lose, reversed_lists
from connectors.testkit.world import CANARY, Contract, World, nobody, said, spilled
from connectors.types import Enrichment, Match, Subject, Verdict

_PATIENCE = 60


class EnricherContract(Contract):
    """What an enricher must do. See `Contract` for what to write, and also the methods below."""

    def known(self, vendor: Any) -> Sequence[tuple[Subject, Mapping[str, Any]]]:
        """At least three subjects the stand-in knows, with the values it has for them, by field. Their identifiers hold the word canary."""
        raise NotImplementedError

    def unknown(self, vendor: Any) -> Subject:
        """A subject the stand-in does not know."""
        raise NotImplementedError

    def spent(self, vendor: Any) -> Decimal:
        """What the stand-in has charged so far, in the quote's unit."""
        raise NotImplementedError

    def _fields(self, world: World) -> list[str]:
        return [one.name for one in world.make().fields()]

    def _ask(self, world: World, subjects: Sequence[Subject], fields: Sequence[str] | None = None, enricher: Any = None) -> dict[str, Enrichment]:
        """Asks, and checks that there is one answer each, for nobody else, with nothing that was not asked for."""
        wanted = self._fields(world) if fields is None else list(fields)
        answers = list((enricher or world.make()).enrich(subjects, wanted, world.context))
        assert sorted(one.ref for one in answers) == sorted(one.ref for one in subjects), "there must be one answer per subject"
        assert all(set(one.values) <= set(wanted) for one in answers), "fields that were not asked for"
        assert all(not one.values for one in answers if one.match is not Match.MATCH), "values without a match"
        return {one.ref: one for one in answers}

    def test_the_class_conforms(self) -> None:
        assert enricher_fault(self.connector) is None

    def test_fields_are_declared_without_a_request(self, world: World) -> None:
        fields = world.make().fields()
        assert fields
        assert all(one.name and one.description for one in fields), "each field needs a name and a description"
        assert world.proxy is None or not world.proxy.seen

    def test_a_quote_spends_nothing_and_is_never_too_low(self, world: World) -> None:
        subjects = [*(subject for subject, _ in self.known(world.vendor)), self.unknown(world.vendor)]
        before = self.spent(world.vendor)
        quote = world.make().quote(len(subjects), self._fields(world), world.context)
        assert self.spent(world.vendor) == before, "asking for the price was charged"
        answers = self._ask(world, subjects)
        charged = self.spent(world.vendor) - before
        assert charged <= quote.most
        assert sum((one.cost for one in answers.values()), Decimal(0)) == charged, "answers state another cost than was charged"

    def test_nobody_gets_another_ones_values(self, world: World) -> None:
        known = self.known(world.vendor)
        world.wire.always = Distort(reversed_lists)
        answers = self._ask(world, [subject for subject, _ in known])
        for subject, values in known:
            answer = answers[subject.ref]
            if answer.match is Match.MATCH:
                assert all(answer.values[name] == values[name] for name in answer.values if name in values), "values of somebody else"

    def test_known_subjects_match_and_unknown_ones_do_not(self, world: World) -> None:
        known, stranger = self.known(world.vendor), self.unknown(world.vendor)
        answers = self._ask(world, [*(subject for subject, _ in known), stranger])
        assert {answers[subject.ref].match for subject, _ in known} == {Match.MATCH}
        assert answers[stranger.ref].match is Match.NO_MATCH
        assert all(answers[subject.ref].values.items() >= values.items() for subject, values in known)

    def test_only_what_is_asked_for_is_delivered(self, world: World) -> None:
        subject, values = self.known(world.vendor)[0]
        name = next(iter(values))
        assert set(self._ask(world, [subject], [name])[subject.ref].values) == {name}

    def test_nobody_to_ask_about_costs_nothing(self, world: World) -> None:
        before = self.spent(world.vendor)
        assert self._ask(world, []) == {}
        assert self.spent(world.vendor) == before

    @pytest.mark.parametrize("fault", [Lose(), Distort(lambda _: None)], ids=["lost answer", "half an answer"])
    def test_an_answer_that_was_paid_for_and_lost_is_not_paid_for_again(self, world: World, fault: Lose | Distort) -> None:
        subject, _ = self.known(world.vendor)[0]
        before = self.spent(world.vendor)
        world.wire.coming = [fault]
        answer = self._ask(world, [subject])[subject.ref]
        once = self.spent(world.vendor) - before
        quote = world.make().quote(1, self._fields(world), world.context)
        assert once <= quote.most, "paid for twice"
        assert answer.match in {Match.IN_DOUBT, Match.MATCH}, f"perhaps paid for and no answer; that is IN_DOUBT and not {answer.match}"

    @pytest.mark.parametrize("status", [429, 503])
    def test_a_vendor_that_is_busy_is_asked_later_and_not_hammered(self, world: World, status: int) -> None:
        subject, _ = self.known(world.vendor)[0]
        world.wire.always = Answer(status, {"Retry-After": "30"})
        with suppress(ConnectorError):
            assert self._ask(world, [subject])[subject.ref].match is Match.RETRY
        assert len(world.wire.hits) <= _PATIENCE

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"ok", b"null"])
    def test_a_success_that_says_nothing_is_neither_a_match_nor_none(self, world: World, body: bytes) -> None:
        subject, _ = self.known(world.vendor)[0]
        world.wire.always = Answer(200, {"Content-Type": "application/json"}, body)
        with suppress(ConnectorError):
            assert self._ask(world, [subject])[subject.ref].match not in {Match.MATCH, Match.NO_MATCH}

    def test_refused_credentials_are_the_users_to_mend(self, world: World) -> None:
        world.wire.always = Answer(401)
        with pytest.raises(ConfigError) as error:
            self._ask(world, [self.known(world.vendor)[0][0]])
        assert error.value.hint, "say what the user can do"
        assert len(world.wire.hits) <= 3, "refused credentials were tried again and again"

    def test_nobody_listening_is_not_paid_for(self, world: World) -> None:
        subject, _ = self.known(world.vendor)[0]
        try:
            answers = self._ask(world, [subject], enricher=world.make(nobody()))
        except ConnectorError:
            return
        assert answers[subject.ref].match is Match.RETRY

    def test_purging_twice_is_fine(self, world: World) -> None:
        subject, _ = self.known(world.vendor)[0]
        self._ask(world, [subject])
        first, second = (world.make().purge([subject], world.context) for _ in range(2))
        assert set(first) == {subject.ref}
        assert first == second
        assert first[subject.ref].verdict is Verdict.ACKED or (first[subject.ref].verdict is Verdict.REJECTED and first[subject.ref].reason)

    def test_neither_secrets_nor_persons_are_said_or_kept(self, world: World) -> None:
        subject, _ = self.known(world.vendor)[0]
        enricher, texts = world.make(), list[str]()
        for fault in (None, Answer(400, body=f"{CANARY}@example.org".encode()), Answer(500), Answer(401), Lose(), Answer(200, body=b"{")):
            world.wire.always = fault
            try:
                texts += [text for one in self._ask(world, [subject], enricher=enricher).values() for text in (one.reason, repr(one))]
            except ConnectorError as error:
                texts += said(error)
        assert not spilled(world, *texts, repr(enricher), repr(subject))
