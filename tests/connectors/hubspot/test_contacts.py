"""Contacts from HubSpot, where the contract of sources does not reach."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.testkit import StillClock
from tests.connectors.hubspot.stand import AT


def rows(pages):
    return [row for page in pages if page.rows is not None for row in page.rows.to_pylist()]


def test_more_contacts_than_search_returns_are_read(stand, source, context):
    emails = [f"p{n}@example.com" for n in range(10_250)]
    stand.add(*emails)
    pages = list(source(calls_per_10s=10_000).read("contacts", None, context))
    assert sorted(row["email"] for row in rows(pages)) == sorted(emails)
    assert max(len(page.rows) for page in pages if page.rows is not None) <= 200


def test_the_next_read_delivers_what_changed_and_nothing_else(stand, source, context):
    stand.add("ann@example.com", "bob@example.com", firstname="old")
    first = list(source().read("contacts", None, context))
    assert list(source().read("contacts", first[-1].cursor, context)) == []
    store = stand.emulation.store
    bob = store.find("contact", "email", ["bob@example.com"])["bob@example.com"][0]
    bob.body, bob.changed_at = {**bob.body, "firstname": "new"}, AT + 1
    store.save([bob])
    second = list(source().read("contacts", first[-1].cursor, context))
    assert [(row["email"], row["firstname"], row["updated_at"]) for row in rows(second)] == [("bob@example.com", "new", "2025-12-29T09:20:00.001Z")]
    assert list(source().read("contacts", second[-1].cursor, context)) == []


def test_what_changes_while_it_is_read_is_not_lost(stand, source, context):
    ids = stand.add(*(f"p{n}@example.com" for n in range(6)), firstname="old")
    reading = source(page_size=2).read("contacts", None, context)
    pages = [next(reading)]
    changed = list(stand.emulation.store.get("contact", [ids[0], ids[5]]).values())
    for record in changed:
        record.body, record.changed_at = {**record.body, "firstname": "new"}, AT + 5
    stand.emulation.store.save(changed)
    pages += reading
    pages += source().read("contacts", pages[-1].cursor, context)
    last = {row["email"]: row["firstname"] for row in rows(pages)}
    assert last == {f"p{n}@example.com": "new" if n in {0, 5} else "old" for n in range(6)}


def test_what_has_not_settled_is_left_for_later(stand, source, context):
    now = round(context.as_of.timestamp() * 1000)
    stand.add("early@example.com", at=now - 61_000)
    stand.add("late@example.com", at=now - 59_000)
    first = list(source().read("contacts", None, context))
    before = source().watermark("contacts", context)
    later = replace(context, as_of=context.as_of + timedelta(seconds=5))
    assert [row["email"] for row in rows(first)] == ["early@example.com"]
    assert source().watermark("contacts", later) != before
    assert [row["email"] for row in rows(source().read("contacts", first[-1].cursor, later))] == ["late@example.com"]


def test_an_account_without_contacts_delivers_nothing(source, context):
    assert rows(source().read("contacts", None, context)) == []


@pytest.mark.parametrize("version", ["v3", "2025-09", "2026-03", "2026-09"])
def test_every_version_is_read(stand, source, context, version):
    stand.add("ann@example.com", city="Graz")
    (row,) = rows(source(api_version=version, properties=["email", "city", "phone"]).read("contacts", None, context))
    assert (row["email"], row["city"], row["phone"]) == ("ann@example.com", "Graz", None)


def test_search_is_asked_no_faster_than_it_allows(stand, source, context):
    stand.add(*(f"p{n}@example.com" for n in range(60)))
    clock: StillClock = context.clock
    start = clock.time
    assert len(rows(source(page_size=2, calls_per_10s=10_000).read("contacts", None, context))) == 60
    calls = 60 / 2 + 2
    assert (calls - 5) / 5 <= clock.time - start <= calls / 4 / 0.9 + 1
