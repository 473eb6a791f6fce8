"""Rows find their person by any identifier; persons, their changes and the vault come from the links."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import ibis
import pyarrow as pa
import pytest

from seg_assets.identity import IdentityRules, resolve, surviving, vault, with_person
from seg_assets.identity.persons import changes, persons
from seg_assets.lake import Engine
from seg_assets.schema.tables import CONTACTS, IDENTIFIERS, IDENTITY_CHANGES, PERSONS, VAULT

ENGINE = Engine()
KEY = b"a key for tests"
AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


def contacts(*rows: dict[str, Any]) -> ibis.Table:
    full = [{"contact_id": f"c{i}", "source": "crm/people"} | row for i, row in enumerate(rows)]
    return ENGINE.from_arrow(pa.Table.from_pylist(full, CONTACTS.schema.to_pyarrow()))


def links(*tables: ibis.Table, previous: ibis.Table | None = None) -> ibis.Table:
    return stored(resolve(tables, KEY, IdentityRules(), previous).links)


def stored(expr: ibis.Table) -> ibis.Table:
    return ENGINE.from_arrow(ENGINE.connection.to_pyarrow(expr))


def rows(expr: ibis.Table) -> list[dict[str, Any]]:
    return ENGINE.connection.to_pyarrow(expr).to_pylist()


def at(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


@pytest.mark.parametrize("name", [c.name for c in IDENTIFIERS])
def test_a_row_finds_its_person_by_each_type_of_identifier(name: str) -> None:
    whole = {c.name: f"{c.name}@x.org" for c in IDENTIFIERS}
    known = links(contacts(whole))
    (found,) = rows(with_person(contacts({name: whole[name], "city": "Bonn"}), known, KEY))
    assert found["person_id"] == rows(known)[0]["person_id"]
    assert found["city"] == "Bonn"


def test_rows_with_their_person_carry_no_identifiers() -> None:
    table = contacts({"user_id": "u", "email": "canary@x.org"})
    columns = with_person(table, links(table), KEY).columns
    assert not set(columns) & {c.name for c in IDENTIFIERS}
    assert columns[0] == "person_id"


def test_the_strongest_identifier_of_a_row_decides() -> None:
    table = contacts(*({"user_id": f"u{i}", "email": "info@x.org"} for i in range(6)))
    found = rows(with_person(table, links(table), KEY))
    assert len({r["person_id"] for r in found}) == 6


def test_persons_count_identifiers_and_records() -> None:
    table = contacts({"user_id": "u", "email": "e@x.org"}, {"email": "e@x.org"})
    cookie = contacts({"anonymous_id": "a"})
    known = links(table, cookie)
    expr = persons(known, table, KEY)
    assert expr.schema() == PERSONS.schema
    assert sorted((r["identifiers"], r["contacts"]) for r in rows(expr)) == [(1, 0), (2, 2)]


def test_the_first_refresh_has_no_changes() -> None:
    expr = changes(links(contacts({"user_id": "u"})), None, AS_OF)
    assert expr.schema() == IDENTITY_CHANGES.schema
    assert rows(expr) == []


def test_a_merge_is_logged_with_the_id_that_went() -> None:
    apart = [{"user_id": "a"}, {"user_id": "b", "device_id": "d"}]
    before = links(contacts(*apart))
    after = links(contacts(*apart, {"user_id": "a", "device_id": "d"}), previous=before)
    ids = {r["identifier"]: r["person_id"] for r in rows(before)}
    assert rows(changes(after, before, AS_OF)) == [
        {"change": "merged", "from_person_id": ids["a"], "to_person_id": ids["b"], "identifiers": 1, "as_of": AS_OF}
    ]


def test_a_split_is_logged_with_both_ids() -> None:
    apart = [{"user_id": "a"}, {"user_id": "b", "device_id": "d"}]
    before = links(contacts(*apart, {"user_id": "a", "device_id": "d"}))
    after = links(contacts(*apart), previous=before)
    ids = {r["identifier"]: r["person_id"] for r in rows(after)}
    assert rows(changes(after, before, AS_OF)) == [
        {"change": "split", "from_person_id": ids["b"], "to_person_id": ids["a"], "identifiers": 1, "as_of": AS_OF}
    ]


def test_new_and_forgotten_identifiers_are_no_changes() -> None:
    before = links(contacts({"user_id": "a"}, {"user_id": "b"}))
    after = links(contacts({"user_id": "a", "device_id": "d"}, {"user_id": "c"}), previous=before)
    assert rows(changes(after, before, AS_OF)) == []


def survivor(trust: Sequence[str], *records: tuple[str, str, datetime | None, str | None]) -> str | None:
    """The surviving city of records (source, contact_id, updated_at, city) of one person."""
    names = ("source", "contact_id", "updated_at", "city")
    table = contacts(*(dict(zip(names, r, strict=True)) | {"user_id": "u"} for r in records))
    (row,) = rows(surviving(with_person(table, links(table), KEY), ["city"], trust))
    return row["city"]


def test_the_most_trusted_source_survives_however_old_its_value() -> None:
    assert survivor(["crm"], ("shop/users", "1", at(9), "Rome"), ("crm/people", "2", at(1), "Bonn")) == "Bonn"


def test_trust_may_name_a_stream_and_does_not_match_a_longer_name() -> None:
    assert survivor(["crm/gold"], ("crm/people", "1", at(9), "Rome"), ("crm/gold", "2", at(1), "Bonn")) == "Bonn"
    assert survivor(["crm"], ("crm2/people", "1", at(9), "Rome"), ("crm/people", "2", at(1), "Bonn")) == "Bonn"


def test_among_equally_trusted_the_newest_value_survives_and_one_without_time_is_oldest() -> None:
    assert survivor([], ("a/x", "1", at(1), "Rome"), ("b/x", "2", at(9), "Bonn"), ("c/x", "3", None, "Oslo")) == "Bonn"


def test_missing_values_survive_nobody() -> None:
    assert survivor(["crm"], ("crm/people", "1", at(9), None), ("shop/users", "2", at(1), "Rome")) == "Rome"
    assert survivor([], ("crm/people", "1", at(9), None)) is None


def test_ties_are_broken_by_source_and_record_and_not_by_row_order() -> None:
    tied = [("b/x", "1", at(1), "Rome"), ("a/x", "2", at(1), "Bonn"), ("a/x", "1", at(1), "Oslo")]
    assert {survivor([], *tied), survivor([], *reversed(tied))} == {"Oslo"}


def test_each_column_survives_by_itself() -> None:
    table = contacts({"user_id": "u", "updated_at": at(2), "city": "Rome"}, {"user_id": "u", "updated_at": at(1), "city": "Bonn", "language": "de"})
    (row,) = rows(surviving(with_person(table, links(table), KEY), ["city", "language"], []))
    assert (row["city"], row["language"]) == ("Rome", "de")


def test_the_vault_keeps_how_a_person_is_reached() -> None:
    table = contacts(
        {"user_id": "u", "email": "old@x.org", "first_name": "Ann", "updated_at": at(1)},
        {"user_id": "u", "email": "new@x.org", "phone": "+4915112345678", "updated_at": at(2)},
    )
    expr = vault(table, links(table), KEY, [])
    assert expr.schema() == VAULT.schema
    (row,) = rows(expr)
    row.pop("person_id")
    assert row == {"email": "new@x.org", "phone": "+4915112345678", "first_name": "Ann", "last_name": None, "user_id": "u"}
