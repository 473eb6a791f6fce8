"""Whom an enricher is asked about: who granted the purpose, last, and was not asked about lately."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import ibis
import pyarrow as pa

from seg_assets.enrichment import ANSWERS, due
from seg_assets.schema.tables import CONSENTS, CONTACTS

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
MAY, JUNE, AUGUST = (datetime(2026, month, 1, tzinfo=UTC) for month in (5, 6, 8))


def table(schema: pa.Schema, rows: list[dict]) -> ibis.Table:
    return ibis.memtable(pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema))


def contacts(*rows: tuple[str | None, str | None]) -> ibis.Table:
    return table(CONTACTS.schema.to_pyarrow(), [{"contact_id": str(n), "email": email, "user_id": id} for n, (email, id) in enumerate(rows)])


def consent(state: str, at: datetime = MAY, *, purpose: str = "profiling", until: datetime | None = None, **who: str) -> dict:
    return {"consent_id": f"{who}{state}{at}", "purpose": purpose, "state": state, "stated_at": at, "expires_at": until, **who}


def emails(people: ibis.Table, *said: dict, told: list[dict] | None = None) -> list[str]:
    answers = table(ANSWERS, told) if told is not None else None
    consents = table(CONSENTS.schema.to_pyarrow(), list(said))
    found = due(people, consents, answers, purpose="profiling", again=timedelta(days=180), as_of=AS_OF)
    return found.to_pyarrow()["email"].to_pylist()


def test_only_who_granted_this_purpose_is_asked_about() -> None:
    people = contacts(("ann@x.org", None), ("ben@x.org", None), ("cid@x.org", None), (None, "u4"))
    assert emails(people, consent("granted", email="ann@x.org"), consent("granted", purpose="advertising", email="ben@x.org")) == ["ann@x.org"]


def test_the_newest_statement_counts_and_of_one_instant_the_refusal() -> None:
    people = contacts(("ann@x.org", None), ("ben@x.org", None), ("cid@x.org", None))
    said = [consent("granted", MAY, email="ann@x.org"), consent("withdrawn", JUNE, email="ann@x.org")]
    said += [consent("denied", MAY, email="ben@x.org"), consent("granted", JUNE, email="ben@x.org")]
    said += [consent("denied", JUNE, email="cid@x.org"), consent("granted", JUNE, email="cid@x.org")]
    assert emails(people, *said) == ["ben@x.org"]


def test_what_expired_or_is_still_to_come_is_no_grant() -> None:
    people = contacts(("ann@x.org", None), ("ben@x.org", None), ("cid@x.org", None))
    said = [consent("granted", email="ann@x.org", until=JUNE), consent("granted", AUGUST, email="ben@x.org")]
    assert emails(people, *said, consent("granted", email="cid@x.org", until=AUGUST)) == ["cid@x.org"]


def test_a_statement_under_a_customer_id_is_that_of_its_addresses() -> None:
    people = contacts(("ann@x.org", "u1"), ("ann@y.org", "u1"), ("ben@x.org", "u2"))
    said = [consent("granted", MAY, user_id="u1"), consent("denied", JUNE, email="ann@y.org")]
    assert emails(people, *said) == ["ann@x.org"]


def test_nobody_is_asked_about_again_before_the_answer_is_old_also_when_there_was_none() -> None:
    people = contacts(("ann@x.org", None), ("ben@x.org", None))
    said = [consent("granted", email=email) for email in ("ann@x.org", "ben@x.org")]
    told = [
        {"email": "ann@x.org", "match": "no_match", "provided_at": JUNE},
        {"email": "ben@x.org", "match": "match", "provided_at": JUNE - timedelta(days=200)},
    ]
    assert emails(people, *said, told=told) == ["ben@x.org"]
