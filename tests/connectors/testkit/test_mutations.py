"""The kit tested: for each law a connector that breaks it, and only that way, is found out."""

import inspect
import json
import logging
import threading
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cached_property

import pyarrow as pa
import pytest
from pydantic import Field
from seg_connector_acme.connectors import ACKED, SPEC, AcmeConfig, AcmeConsents, AcmeDestination, AcmeEnricher, AcmeSource, after
from seg_connector_acme.contracts import Consents, Destination, Enricher, Source

from connectors.testkit import ConsentContract, DestinationContract, EnricherContract, SourceContract
from seg_assets.sdk import (
    Action,
    ConfigError,
    ConnectorError,
    Consent,
    ConsentChange,
    Container,
    Decision,
    DestinationError,
    Enrichment,
    FieldDef,
    Granularity,
    Limit,
    Match,
    OpKind,
    Outcome,
    Page,
    RemoteRow,
    SourceError,
    Verdict,
)

MUTANTS = []


def breaks(contract, law, *arguments):
    """Registers a connector that breaks a law; `arguments` are those of one of its parametrised cases."""

    def register(connector):
        MUTANTS.append(pytest.param(contract, connector, law, arguments, id=f"{contract.__name__}-{law}-{connector.__name__}"))
        return connector

    return register


@pytest.mark.parametrize(("contract", "connector", "law", "arguments"), MUTANTS)
def test_a_connector_that_breaks_a_law_is_found_out(contract, connector, law, arguments, tmp_path):
    mutated = type("Mutated", (contract,), {"connector": connector})()
    names = [name for name in inspect.signature(getattr(contract, law)).parameters if name != "self"]
    with mutated.surroundings(tmp_path) as world:
        given = {"world": world, **dict(zip([name for name in names if name != "world"], arguments, strict=True))}
        with pytest.raises((AssertionError, pytest.fail.Exception, ConnectorError)):
            getattr(mutated, law)(**{name: given[name] for name in names})


def test_every_law_has_a_connector_that_breaks_it():
    broken = {(param.values[0].__mro__[2], param.values[2]) for param in MUTANTS}
    laws = {
        (contract, name)
        for contract in (DestinationContract, SourceContract, EnricherContract, ConsentContract)
        for name in vars(contract)
        if name.startswith("test_")
    }
    assert sorted(f"{contract.__name__}.{law}" for contract, law in laws - broken) == []
    shared = [name for name in vars(DestinationContract.__mro__[1]) if name.startswith("test_")]
    assert [law for law in shared if not any(name == law for _, name in broken)] == []


# Laws all contracts share


@breaks(Destination, "test_every_setting_is_described")
class Undescribed(AcmeDestination):
    class config_model(AcmeConfig):  # noqa: N801
        region: str = "eu"


@breaks(Destination, "test_settings_that_look_secret_are_secret")
class Exposed(AcmeDestination):
    class config_model(AcmeConfig):  # noqa: N801
        api_key: str = Field("", description="Key.")


@breaks(Destination, "test_limits_say_where_and_when_they_were_read")
class Vague(AcmeDestination):
    meta = replace(AcmeDestination.meta, limits=(Limit("rows", 5, "", date(2026, 1, 1)),))


@breaks(Destination, "test_making_one_touches_nothing")
class Eager(AcmeDestination):
    def __init__(self, config):
        super().__init__(config)
        import urllib.request

        urllib.request.urlopen(f"{config.url}token", b"x").read()


@breaks(Destination, "test_a_check_passes_with_right_credentials_and_tells_refused_ones")
class ChecksNothing(AcmeDestination):
    def check(self, context): ...


# Destinations


@breaks(Destination, "test_the_class_conforms")
class Undeclared(AcmeDestination):
    meta = replace(AcmeDestination.meta, capabilities=frozenset())


@breaks(Destination, "test_objects_are_declared_without_a_request")
class AsksForObjects(AcmeDestination):
    def objects(self):
        import urllib.request

        urllib.request.urlopen(f"{self._config.url}token", b"x").read()
        return super().objects()


@breaks(Destination, "test_members_arrive_and_every_operation_is_acknowledged")
@breaks(Destination, "test_a_refused_row_is_rejected_and_harms_no_other")
class SaysYes(AcmeDestination):
    def deliver(self, object, batch, context):
        return {one.op_id: ACKED for one in batch}


@breaks(Destination, "test_more_rows_than_one_request_takes_arrive")
class SendsTheFirstRows(AcmeDestination):
    def deliver(self, object, batch, context):
        return super().deliver(object, batch[:5], context) | {one.op_id: ACKED for one in batch[5:]}


@breaks(Destination, "test_an_empty_batch_sends_nothing")
class SendsEmptyBatches(AcmeDestination):
    def deliver(self, object, batch, context):
        if not batch:
            self.api.call("members", context, json={"list": "vip", "inputs": []})
        return super().deliver(object, batch, context)


@breaks(Destination, "test_odd_characters_arrive_as_they_are")
class KeepsAscii(AcmeDestination):
    def row(self, one):
        fields = {name: value.encode("ascii", "replace").decode() for name, value in one.fields.items()}
        return super().row(replace(one, fields=fields))


@breaks(Destination, "test_removals_remove_and_removing_twice_is_fine")
class NeverRemoves(AcmeDestination):
    def deliver(self, object, batch, context):
        removals = {one.op_id: ACKED for one in batch if one.kind is OpKind.REMOVE}
        return super().deliver(object, [one for one in batch if one.op_id not in removals], context) | removals


@breaks(Destination, "test_who_left_may_come_back")
class RemembersWhoWasSent(AcmeDestination):
    sent = set()  # noqa: RUF012

    def deliver(self, object, batch, context):
        new = [one for one in batch if one.kind is OpKind.REMOVE or one.key not in self.sent]
        self.sent.update(one.key for one in batch)
        return super().deliver(object, new, context) | {one.op_id: ACKED for one in batch if one not in new}


@breaks(Destination, "test_repeating_changes_nothing")
class Appends(AcmeDestination):
    number = 0

    def row(self, one):
        Appends.number += 1
        return super().row(replace(one, key=f"{Appends.number}{one.key}"))


@breaks(Destination, "test_one_person_twice_ends_as_the_later_operation_says")
class KeepsTheFirst(AcmeDestination):
    def deliver(self, object, batch, context):
        first = list({one.key: one for one in reversed(batch)}.values())
        return super().deliver(object, first, context) | {one.op_id: ACKED for one in batch if one not in first}


@breaks(Destination, "test_outcomes_do_not_depend_on_the_order_of_the_answer")
class CountsPlaces(AcmeDestination):
    def deliver(self, object, batch, context):
        rows = [json.loads(self.row(one).text) for one in batch]
        reply = self.api.call("members", context, json={"list": "vip", "inputs": rows}).json
        given = [*([Outcome(Verdict.REJECTED)] * len(reply["errors"])), *([ACKED] * len(reply["results"]))]
        return {one.op_id: outcome for one, outcome in zip(batch, given, strict=False)}


@breaks(Destination, "test_a_success_that_says_nothing_is_no_acknowledgement", b"ok")
@breaks(Destination, "test_a_success_that_says_nothing_is_no_acknowledgement", b"")
class TrustsTheStatus(AcmeDestination):
    spec = {"endpoints": {"members": {"success_when": None, "rows": [], "silence": "acked"}}}  # noqa: RUF012


@breaks(Destination, "test_counts_without_names_are_no_acknowledgement")
class TrustsCounts(AcmeDestination):
    spec = {"endpoints": {"members": {"rows": [], "silence": "acked"}}}  # noqa: RUF012


@breaks(Destination, "test_counts_without_names_are_no_acknowledgement")
class TrustsSilence(AcmeDestination):
    spec = {"endpoints": {"members": {"rows": [SPEC["endpoints"]["members"]["rows"][1]], "silence": "acked"}}}  # noqa: RUF012

    def objects(self):
        return [replace(one, granularity=Granularity.FAILURES) for one in super().objects()]


def turned(connector, change):
    """A connector whose outcomes are changed on their way out."""

    def deliver(self, object, batch, context):
        return change(connector.deliver(self, object, batch, context))

    return deliver


def reworded(old, new):
    return lambda outcomes: {op_id: replace(one, verdict=new if one.verdict is old else one.verdict) for op_id, one in outcomes.items()}


ONCE = {"retry": {"attempts": 1}}
FAULTS = {mark.args[0]: mark.args[1] for mark in DestinationContract.test_what_was_lost_is_never_called_refused_and_ends_right.pytestmark}


@breaks(Destination, "test_what_was_lost_is_never_called_refused_and_ends_right", FAULTS["fault"][0])
@breaks(Destination, "test_what_was_lost_is_never_called_refused_and_ends_right", FAULTS["fault"][1])
@breaks(Destination, "test_what_was_lost_is_never_called_refused_and_ends_right", FAULTS["fault"][2])
class GivesUpOnLost(AcmeDestination):
    spec = ONCE
    deliver = turned(AcmeDestination, reworded(Verdict.IN_DOUBT, Verdict.REJECTED))


@breaks(Destination, "test_an_answer_lost_for_ever_is_in_doubt")
class CallsDoubtRetry(AcmeDestination):
    deliver = turned(AcmeDestination, reworded(Verdict.IN_DOUBT, Verdict.RETRY))


@breaks(Destination, "test_nobody_listening_means_nothing_was_sent")
class DoubtsEverything(AcmeDestination):
    def deliver(self, object, batch, context):
        try:
            return super().deliver(object, batch, context)
        except DestinationError:
            return {one.op_id: Outcome(Verdict.IN_DOUBT) for one in batch}


@breaks(Destination, "test_a_vendor_that_wants_a_pause_gets_it", 429, "7", 7)
@breaks(Destination, "test_a_vendor_that_wants_a_pause_gets_it", 429, "Thu, 01 Jan 2026 00:00:40 GMT", 40)
class Impatient(AcmeDestination):
    def deliver(self, object, batch, context):
        rows = [json.loads(self.row(one).text) for one in batch]
        for _ in range(3):
            reply = self.api._once(*self.wired(rows, context))
            if reply.action is Action.OK:
                return {one.op_id: ACKED for one in batch}
        return {}

    def wired(self, rows, context):
        request = self.api._request("members", None, None, None, {"list": "vip", "inputs": rows}, None)
        authorizer, budgets = self.api._open(context)
        return request, authorizer, authorizer.token(context.clock.now()), budgets, context.clock.now(), context


@breaks(Destination, "test_a_vendor_that_is_down_is_not_hammered")
class Hammers(Impatient):
    def deliver(self, object, batch, context):
        for _ in range(30):
            super().deliver(object, batch, context)
        return {}


@breaks(Destination, "test_refused_credentials_are_the_users_to_mend")
class CallsRefusalRetry(AcmeDestination):
    def deliver(self, object, batch, context):
        try:
            return super().deliver(object, batch, context)
        except ConfigError:
            return {one.op_id: Outcome(Verdict.RETRY) for one in batch}


@breaks(Destination, "test_a_token_that_ends_in_between_is_renewed_once")
class NeverRenews(AcmeDestination):
    spec = {"rules": [{"status": 401, "do": "FAIL_CONFIG"}]}  # noqa: RUF012


@breaks(Destination, "test_redirects_to_other_hosts_get_nothing")
class FollowsRedirects(AcmeDestination):
    def deliver(self, object, batch, context):
        import httpx

        rows = [json.loads(self.row(one).text) for one in batch]
        httpx.post(f"{self._config.url}members", json={"list": "vip", "inputs": rows}, follow_redirects=True, trust_env=False)
        return {}


@breaks(Destination, "test_requests_keep_to_the_declared_size")
class TooLarge(AcmeDestination):
    spec = {"endpoints": {"members": {"max_bytes": None, "max_rows": 100}}}  # noqa: RUF012


@breaks(Destination, "test_containers_are_made_once")
class MakesListsAnew(AcmeDestination):
    made = 0

    def ensure_container(self, object, audience, context):
        MakesListsAnew.made += 1
        return Container(f"list-{self.made}", True)


@breaks(Destination, "test_what_is_held_can_be_read_back")
class SeesEverybody(AcmeDestination):
    def read_back(self, object, audience, keys, context):
        return (RemoteRow(key, True) for key in keys)


@breaks(Destination, "test_erased_persons_are_gone_and_erasing_twice_is_fine")
class ForgetsNobody(AcmeDestination):
    def erase(self, object, keys, context):
        return dict.fromkeys(keys, ACKED)


@breaks(Destination, "test_archived_persons_are_gone_and_may_come_back")
class ArchivesNobody(AcmeDestination):
    def archive(self, object, keys, context):
        return dict.fromkeys(keys, ACKED)


@breaks(Destination, "test_archived_persons_are_gone_and_may_come_back")
class ArchivesForGood(AcmeDestination):
    gone = frozenset()

    def archive(self, object, keys, context):
        ArchivesForGood.gone = self.gone | set(keys)
        return super().archive(object, keys, context)

    def deliver(self, object, batch, context):
        refused = {one.op_id: Outcome(Verdict.REJECTED, "archived") for one in batch if one.key in self.gone}
        return {**super().deliver(object, [one for one in batch if one.key not in self.gone], context), **refused}


@breaks(Destination, "test_a_job_runs_once_and_tells_what_became_of_each_operation")
class HandsInAnew(AcmeDestination):
    handed_in = 0

    def submit(self, object, job, batch, context):
        HandsInAnew.handed_in += 1
        return super().submit(object, f"{job}-{self.handed_in}", batch, context)


@breaks(Destination, "test_a_job_runs_once_and_tells_what_became_of_each_operation")
class TakesJobsForDone(AcmeDestination):
    def poll(self, object, reference, context):
        outcomes = super().poll(object, reference, context)
        return outcomes and dict.fromkeys(outcomes, ACKED)


@breaks(Destination, "test_a_job_is_known_by_its_name_after_a_crash")
class ForgetsItsJobs(AcmeDestination):
    def submit(self, object, job, batch, context):
        return super().submit(object, job, batch, context) if batch else ""


@breaks(Destination, "test_a_job_is_known_by_its_name_after_a_crash")
class KnowsEveryJob(AcmeDestination):
    def submit(self, object, job, batch, context):
        return super().submit(object, job, batch, context) or job


@breaks(Destination, "test_batches_under_way_at_once_do_not_disturb_each_other")
class SharesItsBatch(AcmeDestination):
    def __init__(self, config):
        super().__init__(config)
        self.both = threading.Barrier(2)

    def deliver(self, object, batch, context):
        self.batch = batch
        self.both.wait(10)
        return super().deliver(object, self.batch, context)


@breaks(Destination, "test_neither_secrets_nor_persons_are_said_or_kept")
class LogsPersons(AcmeDestination):
    def deliver(self, object, batch, context):
        logging.getLogger("connectors.acme").debug("sending %s", [one.key for one in batch])  # the context's own log knows who is not to be named
        return super().deliver(object, batch, context)


@breaks(Destination, "test_neither_secrets_nor_persons_are_said_or_kept")
class KeepsPersons(AcmeDestination):
    def deliver(self, object, batch, context):
        (context.home / "sent.txt").write_text(batch[0].key)
        return super().deliver(object, batch, context)


@breaks(Destination, "test_neither_secrets_nor_persons_are_said_or_kept")
class QuotesAnswers(AcmeDestination):
    def deliver(self, object, batch, context):
        try:
            return super().deliver(object, batch, context)
        except DestinationError as error:
            raise DestinationError(f"could not send {batch[0].key}") from error


@breaks(Destination, "test_neither_secrets_nor_persons_are_said_or_kept")
class LogsSecrets(AcmeDestination):
    def deliver(self, object, batch, context):
        logging.getLogger("connectors.acme").info("signing in with %s", self._config.client_secret.get_secret_value())
        return super().deliver(object, batch, context)


# Sources


@breaks(Source, "test_the_class_conforms")
class Older(AcmeSource):
    meta = replace(AcmeSource.meta, api=">=0,<1")


@breaks(Source, "test_streams_are_declared_without_a_request")
class AsksForStreams(AcmeSource):
    def streams(self, context):
        self.api.read("newest", context)
        return super().streams(context)


@breaks(Source, "test_what_is_declared_is_delivered")
class DeclaresTooMuch(AcmeSource):
    def streams(self, context):
        return [replace(one, keys=("id", "uuid")) for one in super().streams(context)]


@breaks(Source, "test_columns_that_hold_persons_are_declared")
class HidesPersons(AcmeSource):
    def streams(self, context):
        return [replace(one, pii={}) for one in super().streams(context)]


def pages(connector, change):
    """A source whose list of pages is changed."""

    def read(self, stream, cursor, context):
        yield from change(list(connector.read(self, stream, cursor, context)))

    return read


@breaks(Source, "test_every_row_is_delivered_once")
class ReadsTwice(AcmeSource):
    read = pages(AcmeSource, lambda given: [*given, *given[:1]])


@breaks(Source, "test_every_row_is_delivered_once")
class DropsTheLastPage(AcmeSource):
    read = pages(AcmeSource, lambda given: given[:-1])


@breaks(Source, "test_going_on_from_any_page_delivers_the_same")
class CursorAhead(AcmeSource):
    read = pages(AcmeSource, lambda given: [replace(one, cursor=given[-1].cursor) for one in given])


@breaks(Source, "test_cursors_survive_json")
class OddCursors(AcmeSource):
    read = pages(AcmeSource, lambda given: [replace(one, cursor={1: tuple(one.cursor.values())}) for one in given])


@breaks(Source, "test_rows_of_the_newest_instant_are_not_skipped")
@breaks(Source, "test_the_watermark_changes_when_something_is_new_and_not_else")
class SkipsTheInstant(AcmeSource):
    def watermark(self, stream, context):
        return super().watermark(stream, context).split(".")[0]

    def read(self, stream, cursor, context):
        start = {"after": f"{cursor['after'].split('.')[0]}.999999"} if cursor else None
        return super().read(stream, start, context)


@breaks(Source, "test_the_watermark_changes_when_something_is_new_and_not_else")
class CountsItsCalls(AcmeSource):
    calls = 0

    def watermark(self, stream, context):
        CountsItsCalls.calls += 1
        return str(self.calls)


@breaks(Source, "test_pages_come_as_they_are_read")
class Hoards(AcmeSource):
    read = pages(AcmeSource, lambda given: given)


def by_hand(one):
    """Reads pages one by one without the loop guard; `one` makes a page's rows of a reply or gives up."""

    def read(self, stream, cursor, context):
        following = (cursor or {}).get("after")
        for _ in range(501):
            reply = self.api.call("newest", context, query={"after": following})
            content = one(reply)
            if content is None:
                return
            if content["rows"]:
                following = after(content["rows"])
                yield Page(following, pa.Table.from_pylist(content["rows"], schema=self.streams(context)[0].schema), cursor={"after": following})
            if not content.get("next"):
                return

    return read


@breaks(Source, "test_a_vendor_that_leads_in_a_circle_is_an_error")
class FollowsCircles(AcmeSource):
    read = by_hand(lambda reply: reply.json)


PASSING = next(mark.args[1] for mark in SourceContract.test_a_passing_failure_costs_no_row.pytestmark)


class EndsQuietly(AcmeSource):
    """Takes any failure for the end of the data."""

    spec = ONCE
    read = by_hand(lambda reply: reply.json if reply.action is Action.OK else None)


for _fault in PASSING:
    breaks(Source, "test_a_passing_failure_costs_no_row", _fault)(EndsQuietly)
breaks(Source, "test_a_vendor_that_is_down_is_a_source_error_and_not_hammered")(EndsQuietly)
breaks(Source, "test_nobody_listening_is_a_source_error")(EndsQuietly)


@breaks(Source, "test_a_success_that_says_nothing_is_not_the_end_of_the_data", b"")
@breaks(Source, "test_a_success_that_says_nothing_is_not_the_end_of_the_data", b"[]")
class TakesNothingForAnEnd(AcmeSource):
    spec = {"endpoints": {"contacts": {"success_when": None}}}  # noqa: RUF012


@breaks(Source, "test_a_wish_for_a_pause_is_kept")
class HurriesOn(AcmeSource):
    def read(self, stream, cursor, context):
        hasty = replace(context, clock=NoPause())
        return super().read(stream, cursor, hasty)


class NoPause:
    def now(self):
        return 1_767_225_600.0

    def sleep(self, seconds):
        pass


@breaks(Source, "test_refused_credentials_are_the_users_to_mend")
class CallsRefusalPassing(AcmeSource):
    spec = {"rules": [{"status": 401, "do": "FAIL_PERMANENT"}]}  # noqa: RUF012

    def read(self, stream, cursor, context):
        try:
            yield from super().read(stream, cursor, context)
        except ConfigError as error:
            raise AssertionError from error
        except SourceError:
            return


@breaks(Source, "test_redirects_to_other_hosts_get_nothing")
class SourceFollowsRedirects(AcmeSource):
    def read(self, stream, cursor, context):
        import httpx

        httpx.get(f"{self._config.url}contacts", follow_redirects=True, trust_env=False)
        return super().read(stream, cursor, context)


@breaks(Source, "test_neither_secrets_nor_persons_are_said_or_kept")
class PersonsInCursors(AcmeSource):
    read = pages(AcmeSource, lambda given: [replace(one, cursor={**one.cursor, "email": one.rows["email"][-1].as_py()}) for one in given])


# Enrichers


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


# Consent providers


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
