"""valid_until: no verdict flips before it, every verdict flips at it; and the cited events decide as all of them do."""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import Any

import pytest

from seg_assets.segments import default_catalog, next_flips, parse_segments, verdicts

MINUTE = dt.timedelta(minutes=1)
TICK = dt.timedelta(microseconds=1)

ROLLING = """
segment: once
where: {did: product_viewed, in: 20m}
---
segment: thrice
where: {did: product_viewed, times: ">=3", in: 30m}
---
segment: two_or_three
where: {did: product_viewed, times: 2..3, in: 30m}
---
segment: few
where: {did: product_viewed, times: "<2", in: 30m, where: {product_id: a}}
---
segment: earlier
where: {did: product_viewed, times: 1..2, in: 40m..15m}
---
segment: lapsed
where: {all: [{did: order_completed, in: 60m..20m}, {never: order_completed, in: 20m}]}
---
segment: fast
where: {then: [product_viewed, product_added, order_completed], within: 20m, in: 50m}
---
segment: same_cart
where: {then: [product_added, {order_completed: {within: 10m}}], on: cart_id, in: 40m}
---
segment: abandoned
where: {then: [product_added, {no: order_completed, for: 10m}], on: cart_id, in: 30m}
---
segment: slow
where: {then: [product_viewed, {no: order_completed, within: 8m}, product_added], in: 45m}
---
segment: two_waits
where: {then: [product_viewed, product_added, {no: order_completed, within: 9m}, {no: product_viewed, for: 4m}], within: 15m, in: 35m}
---
segment: waits_inside
where: {then: [product_viewed, {no: order_completed, within: 7m}, product_viewed, {no: product_added, for: 12m}, product_added], within: 18m, in: 35m}
---
segment: waits_before_an_event
where: {then: [product_viewed, {no: order_completed, within: 9m}, product_viewed], within: 6m, in: 40m}
---
segment: tied
where: {then: [product_viewed, product_viewed, {no: product_added, within: 5m}], ties: allow, in: 30m}
---
segment: twice_one_product
where:
  all:
    - {did: product_viewed, times: ">=2", in: 30m, same: product_id}
    - {never: order_completed, in: 10m, same: product_id}
---
segment: keyed_choice
where:
  all:
    - {did: product_viewed, in: 40m, same: product_id}
    - any: [{did: order_completed, in: 15m, same: product_id}, {never: product_added, in: 20m, same: product_id}]
---
segment: mixed
where:
  any:
    - all: [{in_segment: once}, {never: order_completed, in: 25m}]
    - {in_segment: abandoned}
  none: [{in_segment: thrice}, {did: product_added, times: ">3", in: 30m}]
---
segment: allowed
where: {did: product_viewed, in: 60m}
needs: [marketing_email]
---
segment: wide
where:
  any: [{did: product_viewed, times: 3, in: 11m}, {did: product_viewed, times: 2, in: 13m}, {did: product_added, times: 1, in: 17m},
        {did: product_added, times: 2, in: 19m}, {did: order_completed, times: 1, in: 23m}, {did: order_completed, times: 2, in: 29m},
        {did: product_added, times: 3, in: 31m}, {did: product_viewed, times: 4, in: 37m}, {did: order_completed, times: 3, in: 41m}]
"""


def fill(world: Any, seed: int, persons: int, minutes: int) -> Any:
    """Random events on whole minutes, so that ties and window ends are hit often."""
    chance = random.Random(seed)
    for person in range(persons):
        world.person(person)
        for _ in range(chance.choice([0, 1, 3, 6, 12, 20])):
            event = chance.choice(["product_viewed", "product_added", "order_completed"])
            key = {"product_id": chance.choice(["a", "b", None]), "cart_id": chance.choice(["x", "y", None])}
            at = chance.randrange(0, minutes) * MINUTE
            world.event(
                person,
                event,
                at,
                event_id=f"{chance.randrange(10**9):09d}",
                **(key if event != "product_viewed" else {"product_id": key["product_id"]}),
            )
        if chance.random() < 0.8:
            world.consent(person, "marketing_email", chance.random() < 0.9, chance.choice([None, world.as_of + chance.randrange(0, 40) * MINUTE]))
    return world


def verdicts_later(world: Any, text: str, moments: list[tuple[int, str, dt.datetime]]) -> list[bool]:
    """The verdict per (person, segment, later instant), in one evaluation: a copy of the person whose past lies further back."""
    copies = type(world)(world.as_of)
    for copy, (person, _, instant) in enumerate(moments):
        copies.person(copy, **world.people[person])
        shift = instant - world.as_of
        for row in by_person(world).get(person, []):
            copies.rows.append(row | {"person_id": copy, "event_time": row["event_time"] - shift, "event_id": f"{copy}:{row['event_id']}"})
        for row in world.consent_rows:
            if row["person_id"] == person:
                copies.consent(copy, row["purpose"], row["granted"], row["expires_at"] and row["expires_at"] - shift)
    members = copies.verdicts(text)
    return [copy in members[segment] for copy, (_, segment, _) in enumerate(moments)]


def by_person(world: Any) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in world.rows:
        found.setdefault(row["person_id"], []).append(row)
    return found


def flips_of(world: Any, text: str, **more: Any) -> list[dict[str, Any]]:
    table, kept = next_flips(
        parse_segments(text, default_catalog()), persons=world.persons(), events=world.events(), consents=world.consents(), as_of=world.as_of, **more
    )
    rows = table.to_pyarrow().to_pylist()
    kept.release()
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_verdict_flips_at_valid_until_and_not_before(world, seed):
    here = fill(world(), seed, persons=40, minutes=70)
    chance = random.Random(seed)
    moments, expected = [], []
    for row in flips_of(here, ROLLING):
        person, segment, member, until = row["person_id"], row["segment"], row["member"], row["valid_until"]
        if until is not None:
            moments += [(person, segment, until), (person, segment, until - TICK)]
            expected += [not member, member]
        last = min(until or here.as_of + 200 * MINUTE, here.as_of + 200 * MINUTE) - TICK
        moments.append((person, segment, here.as_of + chance.random() * (last - here.as_of)))
        expected.append(member)
    assert len(expected) > 1000
    found = verdicts_later(here, ROLLING, moments)
    assert [m for m, f, e in zip(moments, found, expected, strict=True) if f != e] == []


@pytest.mark.slow
def test_memberships_carry_the_valid_until_of_the_timer(world):
    here = fill(world(), 3, persons=15, minutes=70)
    timer = {(r["person_id"], r["segment"]): r["valid_until"] for r in flips_of(here, ROLLING) if r["member"]}
    found = {(r["person_id"], r["segment"]): r["valid_until"] for r in here.evaluate(ROLLING).memberships.to_pyarrow().to_pylist()}
    assert found == timer


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5])
def test_cited_events_alone_give_the_same_verdict(world, seed):
    here = fill(world(), seed, persons=60, minutes=70)
    memberships = here.evaluate(ROLLING).memberships.to_pyarrow().to_pylist()
    assert len(memberships) > 100
    rows = {row["event_id"]: row for row in here.rows}
    copies, wanted = type(here)(here.as_of), []
    for copy, row in enumerate(memberships):
        copies.person(copy)
        cited = {event for clause in json.loads(row["reasons"]) for event in clause["events"]}
        for event in sorted(cited):
            copies.rows.append(rows[event] | {"person_id": copy})
        for consent in here.consent_rows:
            if consent["person_id"] == row["person_id"]:
                copies.consent_rows.append(consent | {"person_id": copy})
        wanted.append((copy, row["segment"]))
    members = copies.verdicts(ROLLING)
    assert [(copy, segment) for copy, segment in wanted if copy not in members[segment]] == []


CALENDAR = """
segment: today
calendar: Europe/Berlin
where: {did: product_viewed, in: this day}
---
segment: last_month
calendar: America/New_York
where: {did: product_viewed, times: 1..2, in: last month}
---
segment: yesterday_chain
calendar: profile
where: {then: [product_viewed, product_added], in: last day}
---
segment: this_week_waiting
calendar: Asia/Kolkata
where: {then: [product_viewed, {no: order_completed, for: 30h}], in: this week}
---
segment: quiet_quarter
calendar: UTC
where: {all: [{never: product_viewed, in: this quarter}, {did: product_viewed, in: last quarter}]}
---
segment: fixed_days
calendar: Europe/Berlin
where: {did: product_viewed, in: 2024-03-30..2024-03-31}
---
segment: same_last_hour
calendar: UTC
where: {all: [{did: product_viewed, in: last hour, same: product_id}, {never: product_added, in: last day, same: product_id}]}
"""


@pytest.mark.slow
def test_calendar_verdicts_flip_at_valid_until_across_a_daylight_saving_change(world):
    here = world(dt.datetime(2024, 3, 30, 22, 30, tzinfo=dt.UTC))
    chance = random.Random(7)
    for person in range(25):
        here.person(person, timezone=chance.choice(["Europe/Berlin", "America/Sao_Paulo", "nowhere", None]))
        for _ in range(chance.choice([0, 2, 5, 9])):
            hours = chance.choice([chance.randrange(0, 60), chance.randrange(0, 24 * 50)])
            here.event(
                person, chance.choice(["product_viewed"] * 3 + ["product_added", "order_completed"]), dt.timedelta(hours=hours / 2), product_id="p"
            )
    flips = flips_of(here, CALENDAR)
    instants = sorted({row["valid_until"] for row in flips if row["valid_until"]})
    assert len(instants) >= 6
    segments, inputs = parse_segments(CALENDAR, default_catalog()), {"persons": here.persons(), "events": here.events(), "consents": None}
    for instant in instants[:5]:
        before, after = (verdicts(segments, as_of=moment, **inputs).to_pyarrow().to_pylist() for moment in (instant - TICK, instant))
        was, now = ({(row["person_id"], name) for row in rows for name in segments.segments if row[name]} for rows in (before, after))
        for row in flips:
            pair, until = (row["person_id"], row["segment"]), row["valid_until"]
            if until == instant:
                assert ((pair in was), (pair in now)) == (row["member"], not row["member"]), row
            elif until is None or until > instant:
                assert ((pair in was), (pair in now)) == (row["member"], row["member"]), row
