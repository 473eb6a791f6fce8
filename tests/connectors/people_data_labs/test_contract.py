"""People Data Labs keeps the contract of enrichers, against the sandbox's stand-in; and what the contract does not reach."""

import json
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

import pytest

from connectors.errors import ConfigError
from connectors.people_data_labs import PeopleDataLabsEnricher
from connectors.people_data_labs.emulation import API_KEY, CREDITS, PeopleDataLabs
from connectors.sandbox.faults import Fault
from connectors.sandbox.server import serving
from connectors.testkit import EnricherContract
from connectors.types import Match, Subject


@dataclass
class Stand:
    """A stand-in and its address."""

    emulation: PeopleDataLabs
    url: str

    def know(self, count):
        """Makes profiles of so many persons."""
        store = self.emulation.store
        store.save([store.make("person", profile(n), 0) for n in range(count)])


def profile(n):
    facts = {"sex": "female", "birth_year": 1970 + n, "location_locality": f"city {n}", "location_country": "austria", "full_name": f"ann canary {n}"}
    return {"id": f"{n:032x}_0000", "emails": [{"address": email(n)}], **facts}


def email(n):
    return f"canary-{n}@example.org"


def subjects(*numbers):
    return [Subject(f"person-{n}", {"email": email(n)}) for n in numbers]


@contextmanager
def serve(folder, now):
    emulation = PeopleDataLabs(folder / "pdl.sqlite", now)
    with serving(emulation) as served:
        yield Stand(emulation, served.url(emulation))


class TestPersons(EnricherContract):
    connector = PeopleDataLabsEnricher

    @contextmanager
    def serve(self, folder, clock):
        with serve(folder, clock.now) as stand:
            stand.know(4)
            yield stand

    def config(self, url):
        return {"base_url": url, "api_key": API_KEY}

    def known(self, vendor):
        facts = [{name: value for name, value in profile(n).items() if name not in {"id", "emails", "full_name"}} for n in range(4)]
        return list(zip(subjects(*range(4)), facts, strict=True))

    def unknown(self, vendor):
        return subjects(99)[0]

    def spent(self, vendor):
        return Decimal(CREDITS - vendor.emulation.credits_left())


@pytest.fixture
def stand(tmp_path, context):
    with serve(tmp_path, context.clock.now) as stand:
        yield stand


@pytest.fixture
def enricher(stand):
    return PeopleDataLabsEnricher(PeopleDataLabsEnricher.config_model(base_url=stand.url, api_key=API_KEY))


def test_more_persons_than_a_call_takes_are_asked_about_in_several(stand, enricher, context):
    stand.know(250)
    assert enricher.quote(251, ["sex"], context).calls == 3
    answers = {one.ref: one for one in enricher.enrich(subjects(*range(251)), ["birth_year"], context)}
    assert {one.values.get("birth_year") for one in answers.values()} == {*range(1970, 2220), None}
    assert sum(one.cost for one in answers.values()) == 250
    assert enricher.quote(1, ["sex"], context).left == CREDITS - 250


def test_credits_that_run_out_halfway_are_told_row_by_row(stand, enricher, context):
    stand.know(5)
    stand.emulation.set_credits(2)
    matches = [one.match for one in enricher.enrich(subjects(*range(5)), ["sex"], context)]
    assert sorted(matches) == sorted([Match.MATCH] * 2 + [Match.RETRY] * 3)
    with pytest.raises(ConfigError, match="credits are used up"):
        list(enricher.enrich(subjects(4), ["sex"], context))


def test_who_can_not_be_found_by_anything_is_not_asked_about(stand, enricher, context):
    nobody = [Subject("a", {}), Subject("b", {"name": "Ann Canary"}), Subject("c", {"user_id": "7"})]
    assert {one.match for one in enricher.enrich(nobody, ["sex"], context)} == {Match.ERROR}
    assert not stand.emulation.seen


def test_a_name_with_a_place_is_less_sure(stand, enricher, context):
    stand.know(3)
    (answer,) = enricher.enrich([Subject("a", {"name": "Ann Canary 1", "location": "City 1, Austria"})], ["birth_year"], context)
    assert (answer.match, answer.values, answer.confidence) == (Match.MATCH, {"birth_year": 1971}, 0.6)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ({"status": 200, "metadata": {"ref": "person-0"}}, Match.IN_DOUBT),
        ({"status": 200, "data": {"sex": "female"}}, Match.IN_DOUBT),
        ({"status": "ok", "metadata": {"ref": "person-0"}}, Match.IN_DOUBT),
        ({"status": 500, "metadata": {"ref": "person-0"}}, Match.RETRY),
        ({"status": 418, "metadata": {"ref": "person-0"}}, Match.ERROR),
    ],
)
def test_an_odd_answer_is_never_a_match_or_none(stand, enricher, context, answer, match):
    stand.emulation.faults.coming.append(Fault(status=200, body=json.dumps([answer]).encode()))
    assert [one.match for one in enricher.enrich(subjects(0), ["sex"], context)] == [match]
