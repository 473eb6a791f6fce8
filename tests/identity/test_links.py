"""Identifiers seen together become one person, whose id survives every later refresh."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_assets.identity import IdentityRules, resolve
from seg_assets.lake import Engine
from seg_assets.lake.functions import keyed_hash
from seg_assets.schema.tables import IDENTIFIERS

ENGINE = Engine()
KEY = b"a key for tests"
GUARDED = IdentityRules()
TYPES = [c.name for c in IDENTIFIERS]
RECORDS = pa.schema([(name, pa.string()) for name in TYPES])

Row = dict[str, str]
Links = dict[tuple[str, str], int]


def table(rows: Sequence[Row]) -> ibis.Table:
    return ENGINE.from_arrow(pa.Table.from_pylist([dict.fromkeys(TYPES) | row for row in rows], RECORDS))


def resolved(*tables: Sequence[Row], previous: pa.Table | None = None, rules: IdentityRules = GUARDED) -> tuple[pa.Table, Any]:
    before = None if previous is None else ENGINE.from_arrow(previous)
    identity = resolve([table(rows) for rows in tables], KEY, rules, before)
    return ENGINE.connection.to_pyarrow(identity.links), identity


def links(*tables: Sequence[Row], previous: pa.Table | None = None, rules: IdentityRules = GUARDED) -> pa.Table:
    return resolved(*tables, previous=previous, rules=rules)[0]


def people(found: pa.Table) -> Links:
    """Identifier to person."""
    rows = found.to_pylist()
    by_identifier = {(row["identifier_type"], row["identifier"]): row["person_id"] for row in rows}
    assert len(by_identifier) == len(rows)
    return by_identifier


def user(found: pa.Table, name: str) -> int:
    return people(found)["user_id", name]


def persons(found: pa.Table) -> set[int]:
    return set(found["person_id"].to_pylist())


def union_find(rows: Sequence[Row]) -> set[frozenset[tuple[str, str]]]:
    """The persons an unguarded resolution must find, each as the set of its identifiers."""
    groups: list[set[tuple[str, str]]] = []
    for row in rows:
        new = set(row.items())
        if new:
            touching = [g for g in groups if g & new]
            groups = [g for g in groups if not g & new] + [new.union(*touching)]
    return {frozenset(g) for g in groups}


few = {"user_id": "uvw", "anonymous_id": "abcd", "device_id": "123", "email": "ef", "phone": "78"}
story = st.lists(st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in few.items()}), max_size=12)
stories = st.lists(st.tuples(story, story), min_size=20, max_size=20)
"""Twenty pairs of record sets. They are resolved together, each with identifiers of its own: one resolution per set would take minutes."""
UNGUARDED = IdentityRules(max_persons_per_identifier=1000, max_identifiers=100_000)


def told(told: Iterable[Sequence[Row]]) -> list[Row]:
    return [{name: f"{value}{i}" for name, value in row.items()} for i, rows in enumerate(told) for row in rows]


def grouped(found: pa.Table) -> dict[int, frozenset[tuple[str, str]]]:
    """Person to identifiers."""
    groups: dict[int, set[tuple[str, str]]] = {}
    for identifier, person in people(found).items():
        groups.setdefault(person, set()).add(identifier)
    return {person: frozenset(identifiers) for person, identifiers in groups.items()}


def as_stored(components: set[frozenset[tuple[str, str]]]) -> set[frozenset[tuple[str, str]]]:
    """Components with e-mail addresses and numbers as the hashes they are stored as."""
    secret = sorted({value for c in components for name, value in c if name in {"email", "phone"}})
    hashes = (
        ENGINE.connection.to_pyarrow(table([{"email": s} for s in secret]).select(h=keyed_hash(KEY)(ibis._.email)))["h"].to_pylist() if secret else []
    )
    stored = dict(zip(secret, hashes, strict=True))
    return {frozenset((name, stored[value] if name in {"email", "phone"} else value) for name, value in c) for c in components}


def test_identifiers_of_one_row_are_one_person() -> None:
    found = links([{"user_id": "u", "anonymous_id": "a", "device_id": "d", "email": "e@x.org", "phone": "+491"}])
    assert len(found) == 5
    assert len(persons(found)) == 1


def test_a_chain_through_several_tables_is_one_person() -> None:
    contacts, events, consents = (
        [{"user_id": "u", "email": "e@x.org"}],
        [{"anonymous_id": "a", "device_id": "d"}],
        [{"device_id": "d", "email": "e@x.org"}],
    )
    assert len(persons(links(contacts, events, consents))) == 1


def test_people_without_a_common_identifier_stay_apart() -> None:
    assert len(persons(links([{"user_id": "u", "email": "e@x.org"}, {"user_id": "v", "email": "f@x.org"}]))) == 2


def test_equal_texts_of_different_types_are_different_identifiers() -> None:
    assert len(persons(links([{"user_id": "7"}, {"device_id": "7"}]))) == 2


def test_a_row_without_identifier_is_nobody() -> None:
    assert len(links([{}, {"user_id": "u"}])) == 1


def test_no_rows_give_no_links() -> None:
    assert links([]).num_rows == 0


def test_ids_are_positive_and_fit_into_60_bits() -> None:
    ids = persons(links([{"user_id": f"u{i}"} for i in range(500)]))
    assert len(ids) == 500
    assert min(ids) > 0
    assert max(ids) < 2**60


def test_addresses_and_numbers_are_kept_as_hashes_that_depend_on_the_key() -> None:
    rows = [{"user_id": "u", "email": "canary@example.org", "phone": "+4915112345678"}]
    found = links(rows)
    other = ENGINE.connection.to_pyarrow(resolve([table(rows)], b"another key", IdentityRules(), None).links)
    assert "canary" not in str(found.to_pylist())
    assert "15112345678" not in str(found.to_pylist())
    assert {r["identifier"] for r in found.to_pylist()} & {r["identifier"] for r in other.to_pylist()} == {"u"}
    assert not persons(found) & persons(other)


@settings(max_examples=4, deadline=None)
@given(stories=stories, seed=st.integers(0, 99))
def test_persons_are_the_connected_components_whatever_the_row_order(stories: list[tuple[list[Row], list[Row]]], seed: int) -> None:
    rows = told(first + second for first, second in stories)
    found = links(rows, rules=UNGUARDED)
    assert set(grouped(found).values()) == as_stored(union_find(rows))
    assert people(links(random.Random(seed).sample(rows, len(rows)), rules=UNGUARDED)) == people(found)


@settings(max_examples=4, deadline=None)
@given(stories=stories)
def test_a_refresh_keeps_ids_with_those_who_had_them_and_settles(stories: list[tuple[list[Row], list[Row]]]) -> None:
    rows = told(second for _, second in stories)
    before = links(told(first for first, _ in stories), rules=UNGUARDED)
    after = links(rows, previous=before, rules=UNGUARDED)
    # As many ids as components: never one id for two persons, whatever merged and split.
    assert set(grouped(after).values()) == as_stored(union_find(rows))
    had = people(before)
    for person, identifiers in grouped(after).items():
        previously = {had[i] for i in identifiers if i in had}
        assert person in previously or person not in set(had.values())
    assert people(links(rows, previous=after, rules=UNGUARDED)) == people(after)


@settings(max_examples=4, deadline=None)
@given(stories=stories)
def test_adding_records_keeps_ids_and_a_merged_person_has_an_id_of_those_merged(stories: list[tuple[list[Row], list[Row]]]) -> None:
    before = links(told(first for first, _ in stories), rules=UNGUARDED)
    after = people(links(told(first + more for first, more in stories), previous=before, rules=UNGUARDED))
    merged: dict[int, set[int]] = {}
    for identifier, person in people(before).items():
        merged.setdefault(after[identifier], set()).add(person)
    for person, were in merged.items():
        assert person in were


def test_a_merge_keeps_the_id_of_the_larger_person() -> None:
    small, large = [{"user_id": "z"}], [{"user_id": "b", "email": "b@x.org", "device_id": "d"}]
    before = links([*small, *large])
    after = links([*small, *large, {"user_id": "z", "email": "b@x.org"}], previous=before)
    assert persons(after) == {user(before, "b")}


def test_a_split_leaves_the_id_with_the_larger_part() -> None:
    bridge = [{"user_id": "a", "email": "e@x.org"}]
    parts = [{"user_id": "a"}, {"user_id": "b", "email": "e@x.org"}, {"user_id": "b", "device_id": "d"}]
    before = links([*parts, *bridge])
    after = links(parts, previous=before)
    assert user(after, "b") == user(before, "b")
    assert user(after, "a") != user(before, "a")
    assert len(persons(after)) == 2


def test_persons_that_split_merge_and_split_again_never_share_an_id() -> None:
    parts = [{"user_id": "a"}, {"user_id": "b", "device_id": "1"}, {"user_id": "b", "device_id": "2"}]
    bridge = [{"user_id": "a", "device_id": "1"}]
    friends = [{"device_id": "8", "anonymous_id": "x"}, {"device_id": "9", "anonymous_id": "x"}]
    one = links([*parts, *bridge])
    two = links([*parts, {"user_id": "a", "device_id": "8"}, *friends], previous=one)
    assert len(persons(two)) == 2
    moved = links([*parts, *bridge, *friends], previous=two)
    assert persons(moved) == persons(two)
    # `a` splits from the same person again; the id it got the first time belongs to its former friends now.
    again = links([*parts, *friends], previous=moved)
    assert len(persons(again)) == 3
    assert user(again, "a") not in persons(moved)


def test_an_id_whose_person_joined_another_goes_to_who_else_was_part_of_it() -> None:
    def pair(user: str, *devices: str) -> list[Row]:
        return [{"user_id": user, "device_id": d} for d in devices]

    before = links([*pair("p", "1", "2", "3", "4"), *pair("q", "5", "6")])
    after = links(
        [{"device_id": "1", "anonymous_id": "x"}, *pair("p", "2", "3", "4"), *pair("q", "5", "6"), {"user_id": "q", "device_id": "1"}],
        previous=before,
    )
    assert user(after, "p") == user(before, "p")
    assert user(after, "q") == user(before, "q")


def test_an_identifier_of_too_many_users_links_nobody() -> None:
    rows = [{"user_id": f"u{i}", "email": "info@firm.example"} for i in range(4)]
    found, identity = resolved(rows, rules=IdentityRules(max_persons_per_identifier=3))
    assert identity.ignored == 1
    assert len(persons(found)) == 5
    found, identity = resolved(rows[:3], rules=IdentityRules(max_persons_per_identifier=3))
    assert (identity.ignored, len(persons(found))) == (0, 1)


def test_what_stands_beside_a_shared_identifier_is_linked_all_the_same() -> None:
    kiosk = [{"user_id": f"u{i}", "device_id": "kiosk"} for i in range(4)]
    found = links([*kiosk, {"device_id": "kiosk", "email": "e@x.org", "phone": "+491"}], rules=IdentityRules(max_persons_per_identifier=3))
    rows = {(r["identifier_type"], r["person_id"]) for r in found.to_pylist()}
    assert {p for t, p in rows if t == "email"} == {p for t, p in rows if t == "phone"} != {p for t, p in rows if t == "device_id"}


def test_a_person_with_too_many_identifiers_is_rebuilt_from_user_ids() -> None:
    mixed = [{"anonymous_id": f"a{i}", "email": "e@x.org"} for i in range(6)]
    known = [{"user_id": "u", "anonymous_id": "a0"}, {"user_id": "v", "email": "e@x.org"}, {"user_id": "w", "email": "w@x.org"}]
    found, identity = resolved(mixed, known, rules=IdentityRules(max_identifiers=5))
    assert identity.oversized == 1
    assert user(found, "u") == people(found)["anonymous_id", "a0"]
    assert user(found, "u") != user(found, "v")
    assert len(persons(found)) == 3 + 5


@pytest.mark.parametrize("threads", [1, 2])
def test_links_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    rows = [{"user_id": f"u{i % 40}", "anonymous_id": f"a{i}", "email": f"e{i % 60}@x.org"} for i in range(300)]
    arrow = pa.Table.from_pylist([dict.fromkeys(TYPES) | row for row in rows], RECORDS)
    engine = Engine(threads=threads)
    records = engine.from_arrow(arrow)
    found = people(engine.connection.to_pyarrow(resolve([records], KEY, IdentityRules(), None).links))
    assert found == people(links(rows))
