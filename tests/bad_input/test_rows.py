"""Rows that can't be used, among rows that can: each is in quarantine with its reason, nothing is lost, and mended files bring everything back."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bad_input.tiny import EVENT_COLUMNS, Account, Tiny, csv
from tests.cli.command import Done

pytestmark = pytest.mark.slow

HEAD = "id,type,time,user"
DAY = "2026-06-01T10:00:00Z"


def parquet(rows: int) -> bytes:
    table = pa.table({"id": [f"p{i}" for i in range(rows)], "type": ["page_viewed"] * rows, "time": [DAY] * rows, "user": ["u"] * rows})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


WHOLE = csv(HEAD, *(f"c{i},page_viewed,{DAY},u" for i in range(5)))
JSON_LINES = "".join(f'{{"id": "j{i}", "type": "page_viewed", "time": "{DAY}", "user": "u"}}\n' for i in range(3))

BAD = {
    "types.csv": csv(
        f"{HEAD},pieces,amount",
        f"t1,order_completed,{DAY},u,2,9.99",
        f"t2,order_completed,{DAY},u,2.5,nine",
        "t3,order_completed,yesterday,u,1,1",
        f"t4,order_complete,{DAY},u,1,1",
        f"t5,order_completed,{DAY},u,-1,-1",
        f"t6,,{DAY},u,1,1",
    ),
    "nobody.csv": csv(HEAD, f"n1,page_viewed,{DAY},", f"n2,page_viewed,{DAY}, ", f"n3,page_viewed,{DAY},u"),
    "times.csv": csv(
        HEAD,
        "z1,page_viewed,2026-06-01 10:00:00,u",
        "z2,page_viewed,2026-06-01T10:00:00+05:30,u",
        "z3,page_viewed,2026-06-01T10:00:00Z,u",
        "z4,page_viewed,2026-01-15 10:00:00,u",
        "z5,page_viewed,01.06.2026 10:00,u",
    ),
    "doubles-1.csv": csv(HEAD, f"d1,page_viewed,{DAY},u", f"d1,page_viewed,{DAY},u", f"d2,page_viewed,{DAY},u"),
    "doubles-2.csv": csv(HEAD, f"d2,page_viewed,{DAY},u", f"d3,page_viewed,{DAY},u"),
    "cut.csv": WHOLE[:-18],
    "cut.csv.gz": gzip.compress(WHOLE.replace("c", "g").encode(), mtime=0)[:-12],
    "cut.jsonl": JSON_LINES[:-20],
    "cut.parquet": parquet(4)[:-30],
    "words-bom.csv": b"\xef\xbb\xbf" + csv(f"{HEAD},sort", f"w1,product_viewed,{DAY},u,Käse").encode(),
    "words-utf16.csv": csv(f"{HEAD},sort", f"w2,product_viewed,{DAY},u,Käse").encode("utf-16"),
    "words-mixed.csv": csv(f"{HEAD},sort", f"w3,product_viewed,{DAY},u,Käse").encode() + f"w4,product_viewed,{DAY},u,Käse\n".encode("latin-1"),
    "old.csv": csv(f"{HEAD},sort", f"o1,product_viewed,{DAY},u,Käse – 5 €").encode("windows-1252"),
    "empty.csv": "",
    "empty-head.csv": csv(HEAD),
    "empty.jsonl": "",
    "void.csv": "",
    "gifts.csv": csv(f"{HEAD},gift", f"x1,order_completed,{DAY},1,true", f"x2,order_completed,{DAY},2,perhaps"),
    "people.csv": csv("no,mail,tier,seats", "1,a@example.com,Premium,2", "2,b at example,golden,two", ",c@example.com,,"),
    "partly-1.csv": csv(HEAD, f"m1,page_viewed,{DAY},u"),
    "partly-2.csv": csv("id,time,user", f"m2,{DAY},u", f"m3,{DAY},u"),
}

MENDED = {
    "types.csv": csv(f"{HEAD},pieces,amount", *(f"t{i},order_completed,{DAY},u,{i},{i}.50" for i in range(1, 7))),
    "nobody.csv": csv(HEAD, *(f"n{i},page_viewed,{DAY},u" for i in (1, 2, 3))),
    "times.csv": csv(HEAD, *(f"z{i},page_viewed,{DAY},u" for i in range(1, 6))),
    "cut.csv": WHOLE,
    "cut.csv.gz": gzip.compress(WHOLE.replace("c", "g").encode(), mtime=0),
    "cut.jsonl": JSON_LINES,
    "cut.parquet": parquet(4),
    "words-mixed.csv": csv(f"{HEAD},sort", f"w3,product_viewed,{DAY},u,Käse", f"w4,product_viewed,{DAY},u,Käse"),
    "empty.csv": csv(HEAD, f"e1,page_viewed,{DAY},u"),
    "void.csv": csv(HEAD, f"v1,page_viewed,{DAY},u"),
    "gifts.csv": csv(f"{HEAD},gift", f"x1,order_completed,{DAY},1,true", f"x2,order_completed,{DAY},2,false"),
    "people.csv": csv("no,mail,tier,seats", "1,a@example.com,Premium,2", "2,b@example.com,basic,3", "3,c@example.com,,"),
    "partly-2.csv": csv(HEAD, f"m2,page_viewed,{DAY},u", f"m3,page_viewed,{DAY},u"),
}

STREAMS = {
    "types": {"files": {"path": "data/types.csv"}, "to": "events", "columns": EVENT_COLUMNS | {"quantity": "pieces", "revenue": "amount"}},
    "nobody": {"files": {"path": "data/nobody.csv"}, "to": "events", "columns": EVENT_COLUMNS},
    "times": {"files": {"path": "data/times.csv"}, "to": "events", "columns": EVENT_COLUMNS, "timezone": "Europe/Berlin"},
    "doubles": {"files": {"path": "data/doubles-*.csv"}, "to": "events", "columns": EVENT_COLUMNS},
    "cut": {"files": {"path": "data/cut.*"}, "to": "events", "columns": EVENT_COLUMNS},
    "words": {"files": {"path": "data/words-*.csv"}, "to": "events", "columns": EVENT_COLUMNS | {"category": "sort"}},
    "old": {"files": {"path": "data/old.csv", "encoding": "windows-1252"}, "to": "events", "columns": EVENT_COLUMNS | {"category": "sort"}},
    "empty": {"files": {"path": "data/empty*"}, "to": "events", "columns": EVENT_COLUMNS},
    "void": {
        "files": {"path": "data/void.csv"},
        "to": "events",
        "columns": EVENT_COLUMNS | {"user_id": {"sql": "upper(user)"}},
        "where": "type <> 'heartbeat'",
    },
    "gifts": {"files": {"path": "data/gifts.csv"}, "to": "events", "columns": EVENT_COLUMNS | {"gift": "gift"}},
    "people": {
        "files": {"path": "data/people.csv"},
        "to": "contacts",
        "columns": {"contact_id": "no", "user_id": "no", "email": "mail", "tier": "tier", "seats": "seats"},
    },
    "partly": {"files": {"path": "data/partly-*.csv"}, "to": "events", "columns": EVENT_COLUMNS},
}

TAXONOMY = """
events: {order_completed: {description: Sold., properties: [gift]}}
properties: {gift: {type: boolean, description: Whether it is a gift.}}
attributes:
  tier: {type: string, enum: tier, description: Membership tier.}
  seats: {type: int64, description: Seats.}
enums: {tier: {basic: [standard], plus: [premium]}}
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    tiny = Tiny.make(tmp_path_factory.mktemp("rows"), STREAMS)
    (tiny.root / "taxonomy.yaml").write_text(TAXONOMY, encoding="utf-8")
    for name, content in BAD.items():
        tiny.write(name, content)
    return tiny


@pytest.fixture(scope="module")
def bad(tiny: Tiny) -> Done:
    return tiny.run()


def test_bad_rows_do_not_stop_a_run(bad: Done) -> None:
    assert bad.code == 0, bad.err


def test_every_row_read_is_an_event_or_a_duplicate_or_in_quarantine(tiny: Tiny, bad: Done) -> None:
    assert tiny.accounts() == {
        "types": Account(read=6, kept=3, quarantined=3),
        "nobody": Account(read=3, kept=1, quarantined=2),
        "times": Account(read=5, kept=4, quarantined=1),
        "doubles": Account(read=5, kept=3, quarantined=0),  # and two duplicates
        "cut": Account(read=14, kept=10, quarantined=4),
        "words": Account(read=4, kept=3, quarantined=1),
        "old": Account(read=1, kept=1, quarantined=0),
        "empty": Account(read=0, kept=0, quarantined=0),
        "void": Account(read=0, kept=0, quarantined=0),
        "gifts": Account(read=2, kept=2, quarantined=0),
        "people": Account(read=3, kept=2, quarantined=1),
        "partly": Account(read=3, kept=1, quarantined=2),
    }


def test_a_value_of_the_wrong_type_costs_the_value_and_a_required_one_the_row(tiny: Tiny, bad: Done) -> None:
    assert tiny.quarantine("types") == {
        ("types.csv", "row 2"): [("value", "quantity is not a valid whole number"), ("value", "revenue is not an amount in a known currency")],
        ("types.csv", "row 3"): [("row", "event_time is not an ISO 8601 time")],
        ("types.csv", "row 4"): [("row", "event_type is not in the taxonomy")],
        ("types.csv", "row 5"): [("value", "quantity is below 0"), ("value", "revenue is below 0")],
        ("types.csv", "row 6"): [("row", "event_type is missing")],
    }
    events = tiny.events("types")
    assert {name: (row["quantity"], row["revenue"]) for name, row in events.items()} == {
        "t1": (2, Decimal("9.99")),
        "t2": (None, None),
        "t5": (None, None),
    }


def test_a_person_without_identifier_is_in_quarantine(tiny: Tiny, bad: Done) -> None:
    nobody = [("row", "no identifier: nobody it could belong to")]
    assert tiny.quarantine("nobody") == {("nobody.csv", "row 1"): nobody, ("nobody.csv", "row 2"): nobody}


def test_naive_times_are_local_and_zoned_ones_mean_what_they_say(tiny: Tiny, bad: Done) -> None:
    assert {name: row["event_time"] for name, row in tiny.events("times").items()} == {
        "z1": datetime(2026, 6, 1, 8, tzinfo=UTC),
        "z2": datetime(2026, 6, 1, 4, 30, tzinfo=UTC),
        "z3": datetime(2026, 6, 1, 10, tzinfo=UTC),
        "z4": datetime(2026, 1, 15, 9, tzinfo=UTC),
    }
    assert tiny.quarantine("times") == {("times.csv", "row 5"): [("row", "event_time is not an ISO 8601 time")]}


def test_an_event_delivered_twice_counts_once(tiny: Tiny, bad: Done) -> None:
    assert sorted(tiny.events("doubles")) == ["d1", "d2", "d3"]
    assert tiny.quarantine("doubles") == {}


def test_a_file_cut_off_in_the_middle_keeps_what_came_before(tiny: Tiny, bad: Done) -> None:
    assert sorted(tiny.events("cut")) == ["c0", "c1", "c2", "c3", "g0", "g1", "g2", "g3", "j0", "j1"]
    assert tiny.quarantine("cut") == {
        ("cut.csv", "line 6"): [("row", "3 fields where there should be 4")],
        ("cut.csv.gz", "line 6"): [("row", "the gzip stream ends too early; this line and all after it are missing")],
        ("cut.jsonl", "line 3"): [("row", "not valid JSON at column 45")],
        ("cut.parquet", ""): [("row", "not a complete Parquet file (ArrowInvalid)")],
    }


def test_words_arrive_in_every_encoding_and_a_line_in_another_one_is_named(tiny: Tiny, bad: Done) -> None:
    assert {name: row["category"] for name, row in tiny.events("words").items()} == {"w1": "Käse", "w2": "Käse", "w3": "Käse"}
    assert tiny.events("old")["o1"]["category"] == "Käse – 5 €"
    assert tiny.quarantine("words") == {("words-mixed.csv", "line 3"): [("row", "holds bytes that are not valid in the file's encoding")]}


def test_a_column_missing_in_one_file_of_several_costs_its_rows(tiny: Tiny, bad: Done) -> None:
    missing = [("row", "event_type is missing")]
    assert tiny.quarantine("partly") == {("partly-2.csv", "row 1"): missing, ("partly-2.csv", "row 2"): missing}


def test_values_that_do_not_fit_the_projects_own_taxonomy_are_in_quarantine(tiny: Tiny, bad: Done) -> None:
    assert {row["contact_id"]: row["attributes"] for row in tiny.rows("unified", "contacts")} == {"1": '{"tier":"plus","seats":2}', "2": None}
    assert {name: row["properties"] for name, row in tiny.events("gifts").items()} == {"x1": '{"gift":true}', "x2": None}
    assert tiny.quarantine("people") == {
        ("people.csv", "row 2"): [
            ("value", "email is not an address"),
            ("value", "seats is not a valid whole number"),
            ("value", "tier is none of the values of tier"),
        ],
        ("people.csv", "row 3"): [("row", "contact_id is missing")],
    }
    assert tiny.quarantine("gifts") == {("gifts.csv", "row 2"): [("value", "gift is not a valid boolean")]}


def test_nothing_that_was_delivered_stands_in_the_quarantine(tiny: Tiny, bad: Done) -> None:
    text = str(tiny.rows("unified", "quarantine")) + bad.err + bad.out
    assert not [word for word in ("yesterday", "order_complete,", "nine", "01.06.2026", "Käse", "golden", "perhaps", "b at example") if word in text]


def test_mended_files_bring_everything_back(tiny: Tiny, bad: Done) -> None:
    for name, content in MENDED.items():
        tiny.write(name, content)
    done = tiny.run()
    assert (done.code, done.json["quarantined"]) == (0, 0)
    assert {stream: account.kept for stream, account in tiny.accounts().items()} == {
        "types": 6, "nobody": 3, "times": 5, "doubles": 3, "cut": 17, "words": 4, "old": 1, "empty": 1, "void": 1, "gifts": 2, "people": 3, "partly": 3,
    }  # fmt: skip
    assert tiny.events("void")["v1"]["user_id"] == "U"
