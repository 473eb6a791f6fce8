"""UCI Online Retail, 541,909 invoice lines: every line is accounted for, and segments hold whom a query on the file itself finds."""

from __future__ import annotations

import pytest

from tests.projects.real import Refreshed, ask

pytestmark = pytest.mark.slow

LINES = """
WITH lines AS (
    SELECT DISTINCT *, invoice_no LIKE 'C%' AS cancelled, timezone('Europe/London', invoice_ts) AS moment, stock_code SIMILAR TO '[0-9].*' AS article
    FROM '{data}/uci-online-retail/online_retail.parquet' WHERE customer_id IS NOT NULL
), orders AS (SELECT * FROM lines WHERE NOT cancelled), today AS (SELECT TIMESTAMPTZ '2011-12-10 00:00:00Z' AS now)
"""

WHO = {
    "lapsed": """SELECT customer_id FROM orders, today GROUP BY customer_id, now
                 HAVING max(moment) <= now - INTERVAL 120 DAYS AND bool_or(moment > now - INTERVAL 365 DAYS)""",
    "bought_once": """SELECT customer_id FROM orders, today GROUP BY customer_id, now
                      HAVING count(DISTINCT invoice_no) = 1 AND max(moment) < now - INTERVAL 60 DAYS""",
    "wholesale": """SELECT customer_id FROM orders, today WHERE quantity >= 100 AND moment > now - INTERVAL 90 DAYS
                    GROUP BY customer_id HAVING count(*) >= 3""",
    "christmas_only": """SELECT customer_id FROM orders GROUP BY customer_id
                         HAVING bool_or(invoice_ts >= '2011-11-01') AND NOT bool_or(invoice_ts >= '2011-02-01' AND invoice_ts < '2011-09-01')""",
    "sent_back": """SELECT DISTINCT a.customer_id FROM orders a, lines b, today
                    WHERE b.cancelled AND a.customer_id = b.customer_id AND a.stock_code = b.stock_code AND a.article
                      AND b.moment > a.moment AND b.moment <= a.moment + INTERVAL 30 DAYS AND a.moment > now - INTERVAL 180 DAYS""",
    "abroad": """SELECT customer_id FROM lines GROUP BY customer_id
                 HAVING arg_max(country, invoice_ts) NOT IN ('United Kingdom', 'Channel Islands', 'European Community', 'Unspecified')""",
}


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Refreshed:
    return Refreshed.of("uci-online-retail", tmp_path_factory.mktemp("uci"))


def test_the_project_runs(retail: Refreshed) -> None:
    assert retail.done.code == 0, retail.done.err
    assert retail.done.json["people"] == 4372


def test_every_line_is_an_event_or_a_duplicate_or_in_quarantine(retail: Refreshed) -> None:
    lines = retail.accounts()["shop/lines"]
    assert lines == {"read": 541_909, "kept": 401_604, "quarantined": 135_080}
    [(duplicates,)] = ask(
        LINES + "SELECT (SELECT count(*) FROM '{data}/uci-online-retail/online_retail.parquet' WHERE customer_id > 0) - count(*) FROM lines"
    )
    assert lines["read"] == lines["kept"] + lines["quarantined"] + duplicates


def test_lines_without_customer_go_to_quarantine_with_their_reason(retail: Refreshed) -> None:
    assert retail.reasons() == {
        ("row", "no identifier: nobody it could belong to"): 135_080,
        ("row", "event_type is missing"): 1_339,  # corrections of the stock and bookkeeping, without customer as well
        ("value", "revenue is below 0"): 2,
    }


def test_cancellations_are_refunds_of_positive_amounts(retail: Refreshed) -> None:
    events = retail.table("unified", "events")
    rows = events.group_by("event_type").aggregate(n=events.count(), amount=events.revenue.sum(), least=events.revenue.min()).to_pyarrow().to_pylist()
    found = {row["event_type"]: row for row in rows}
    assert {name: row["n"] for name, row in found.items()} == {"order_completed": 392_732, "order_refunded": 8_872}
    assert all(row["least"] >= 0 for row in rows)
    truth = dict(ask(LINES + "SELECT cancelled, abs(sum(quantity * unit_price)) FROM lines GROUP BY ALL"))
    assert float(found["order_completed"]["amount"]) == pytest.approx(truth[False], abs=0.05)
    assert float(found["order_refunded"]["amount"]) == pytest.approx(truth[True], abs=0.05)


def test_invoice_times_are_london_time(retail: Refreshed) -> None:
    events = retail.table("unified", "events").group_by("order_id").aggregate(first=lambda t: t.event_time.min()).to_pyarrow().to_pylist()
    truth = dict(ask(LINES + "SELECT invoice_no, min(moment) FROM lines GROUP BY invoice_no"))
    assert {row["order_id"]: row["first"] for row in events} == truth
    assert len({at.hour for at in truth.values()} & {5, 6}) == 2  # shops open at six: five o'clock is summer time


@pytest.mark.parametrize("segment", sorted(WHO))
def test_segments_hold_whom_a_query_on_the_file_finds(retail: Refreshed, segment: str) -> None:
    persons = retail.persons()
    expected = {persons[str(customer)] for (customer,) in ask(LINES + WHO[segment])}
    assert expected
    assert retail.members(segment) == expected


def test_personas_cover_everybody_under_different_names(retail: Refreshed) -> None:
    personas = retail.done.json["personas"]
    assert sum(persona["size"] for persona in personas) == 4372
    assert len({persona["label"] for persona in personas}) == len(personas) >= 3
