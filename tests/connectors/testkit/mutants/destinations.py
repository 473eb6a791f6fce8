"""Destinations that break a law of theirs."""

import json
import logging
import threading
from dataclasses import replace

from seg_connector_acme.connectors import ACKED, SPEC, AcmeDestination
from seg_connector_acme.contracts import Destination

from connectors.testkit import DestinationContract
from seg_assets.sdk import (
    Action,
    ConfigError,
    Container,
    DestinationError,
    Granularity,
    OpKind,
    Outcome,
    RemoteRow,
    Verdict,
)
from tests.connectors.testkit.mutants.register import ONCE, breaks, reworded, turned


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
