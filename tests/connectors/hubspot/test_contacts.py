"""Contacts from HubSpot, where the contract of sources does not reach."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.testkit import StillClock
from tests.connectors.hubspot.stand import AT, KEY


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


def archive(stand, *emails, at):
    """Puts contacts away at an instant, as the endpoint would."""
    store = stand.emulation.store
    records = [found[0] for found in store.find("contact", "email", emails).values()]
    store.delete(records)
    for record in records:
        record.kind, record.changed_at = "archived", at
    store.save(records)


def told(pages):
    return [(row["id"], row["archived"]) for row in rows(pages)]


def test_deleted_contacts_are_told_once_and_without_their_properties(stand, source, context):
    ann, bob = stand.add("ann@example.com", "bob@example.com", city="Graz")
    first = list(source().read("contacts", None, context))
    before = source().watermark("contacts", context)
    archive(stand, "bob@example.com", at=AT + 5)
    assert source().watermark("contacts", context) != before
    second = list(source().read("contacts", first[-1].cursor, context))
    assert told(first) == [(str(ann), "false"), (str(bob), "false")]
    assert rows(second) == [dict.fromkeys(rows(first)[0]) | {"id": str(bob), "created_at": rows(first)[1]["created_at"]} | GONE]
    assert list(source().read("contacts", second[-1].cursor, context)) == []


GONE = {"updated_at": "2025-12-29T09:20:00.005Z", "archived": "true"}


def test_deletions_that_have_not_settled_are_told_once_too(stand, source, context):
    ann, bob, _ = stand.add("ann@example.com", "bob@example.com", "cem@example.com")
    pages = list(source().read("contacts", None, context))
    now = round(context.as_of.timestamp() * 1000)
    archive(stand, "bob@example.com", at=now - 1_000)
    pages += source().read("contacts", pages[-1].cursor, context)
    archive(stand, "ann@example.com", at=now - 2_000)  # the vendor's clock is behind ours
    later = replace(context, as_of=context.as_of + timedelta(seconds=300))
    for _ in range(2):
        pages += source().read("contacts", pages[-1].cursor, later)
    assert [id for id, archived in told(pages) if archived == "true"] == [str(bob), str(ann)]


def test_more_deletions_than_a_page_are_told_once_wherever_reading_goes_on(stand, source, context):
    emails = [f"p{n}@example.com" for n in range(230)]
    ids = stand.add(*emails)
    archive(stand, *emails, at=AT + 1)
    pages = list(source().read("contacts", None, context))
    assert sorted(id for id, _ in told(pages)) == sorted(map(str, ids))
    on = list(source().read("contacts", pages[0].cursor, context))
    assert told([pages[0], *on]) == told(pages)


def test_merged_contacts_are_gone_and_the_one_that_is_left_is_told(stand, source, context):
    ann, bob = stand.add("ann@example.com", "bob@example.com", city="Graz")
    first = list(source().read("contacts", None, context))
    body = {"primaryObjectId": str(ann), "objectIdToMerge": str(bob)}
    answer = httpx.post(f"{stand.url}/crm/v3/objects/contacts/merge", json=body, headers={"Authorization": f"Bearer {KEY['access_token']}"})
    left = answer.json()["id"]
    later = replace(context, as_of=datetime.fromtimestamp(context.clock.now() + 3600, UTC))
    second = list(source().read("contacts", first[-1].cursor, later))
    assert [(row["id"], row["email"], row["archived"]) for row in rows(second)] == [
        (left, "ann@example.com", "false"),
        (str(ann), None, "true"),
        (str(bob), None, "true"),
    ]
    assert list(source().read("contacts", second[-1].cursor, later)) == []


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
