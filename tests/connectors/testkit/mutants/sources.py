"""Sources that break a law of theirs."""

from dataclasses import replace

import pyarrow as pa
from seg_connector_acme.connectors import AcmeSource, after
from seg_connector_acme.contracts import Source

from connectors.testkit import SourceContract
from seg_assets.sdk import (
    Action,
    ConfigError,
    Page,
    SourceError,
)
from tests.connectors.testkit.mutants.register import ONCE, breaks


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
