"""Speed of the segment language on generated shop events.

    python benchmarks/segments.py --events 20000000 --persons 1000000 --segments 1000 --separate 40

Prints one JSON object. `demo`: the demo project's segments with reasons, valid_until, changes and health, beside as many hand-written DuckDB queries
that give members only. `shared`: generated segments in shared passes, beside one compiled query per segment (a sample of them, scaled up).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis

from seg_assets.lake import Engine
from seg_assets.project.load import demo_path
from seg_assets.segments import default_catalog, evaluate, parse_segments, read_segments, verdicts
from seg_assets.segments.evaluate import passes

AS_OF = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
START = "timestamptz '2025-07-01 00:00:00+00'"
TYPES = (
    ["page_viewed"] * 6
    + ["product_viewed"] * 6
    + ["product_added"] * 2
    + ["checkout_started", "order_completed", "email_opened", "video_progressed", "support_contacted", "unsubscribed"]
)


def shop(events: int, persons: int, threads: int) -> ibis.BaseBackend:
    """A DuckDB with tables persons, events, consents. Attributes and events are uniform; no claim hangs on their shape."""
    connection = Engine(threads=threads, memory="8GB").connection
    catalog = default_catalog()
    columns = {
        "age": "18 + hash(i, 1) % 60", "area": "['urban', 'suburban', 'rural'][(1 + hash(i, 2) % 3)::bigint]", "country": "'DE'",
        "has_email": "hash(i, 3) % 10 < 8", "has_phone": "hash(i, 4) % 2 = 0", "engagement": "(hash(i, 5) % 100000)::double / 100",
        "revenue_365d": "(hash(i, 6) % 200000)::double / 100", "orders_365d": "(hash(i, 7) % 9)::bigint", "rfm_segment": "'Loyal'",
        "days_since_event": "(hash(i, 8) % 200)::double",
    }  # fmt: skip
    assert set(columns) <= set(catalog.attributes)
    chosen = ", ".join(f"{sql} as {name}" for name, sql in columns.items())
    connection.raw_sql(f"create table persons as select i::bigint as person_id, {chosen} from range({persons}) t(i)")
    connection.raw_sql(f"""
        create table events as select (hash(i, 0) % {persons})::bigint as person_id, 'e' || i as event_id,
            {TYPES}[(1 + hash(i, 1) % {len(TYPES)})::bigint] as event_type, {START} + to_microseconds((hash(i, 2) % 31536000000000)::bigint) as event_time,
            'p' || (hash(i, 3) % 500) as product_id, 'Shoes' as category, 'c' || (hash(i, 0) % {persons}) || '-' || (hash(i, 4) % 4) as cart_id,
            (hash(i, 5) % 30000)::decimal(18, 2) / 100 as revenue, (hash(i, 6) % 101)::double as percent,
            ['mobile', 'desktop', 'tablet'][(1 + hash(i, 7) % 3)::bigint] as device, 'web' as channel
        from range({events}) t(i)""")
    connection.raw_sql("""
        create table consents as select i::bigint as person_id, p as purpose, hash(i, p) % 10 < 7 as granted, null::timestamptz as expires_at
        from (select person_id as i from persons), (select unnest(['marketing_email', 'profiling']) as p)""")
    return connection


def since(days: float) -> str:
    return f"event_time > timestamptz '{AS_OF.isoformat()}' - interval '{int(days * 24)} hours'"


def happened(event: str, days: float) -> str:
    return f"event_type = '{event}' and {since(days)}"


ALLOWED = "semi join (select person_id from consents where purpose = 'marketing_email' and granted) using (person_id)"
HANDWRITTEN = {
    "fast_checkout": f"""select distinct person_id from (select *, min(case when event_type = 'checkout_started' then event_time end)
        over (partition by person_id, cart_id order by event_time range between interval 1 microsecond following and interval 10 minutes following) n
        from events where event_type in ('product_added', 'checkout_started') and {since(30)}) {ALLOWED} where event_type = 'product_added' and n is not null""",
    "cart_abandoned_48h": f"""select distinct person_id from (select *, max(case when event_type = 'order_completed' then event_time end)
        over (partition by person_id, cart_id) n from events where event_type in ('product_added', 'order_completed') and {since(30)})
        where event_type = 'product_added' and (n is null or n <= event_time) and not {since(2)}""",
    "high_value_cart_abandoner": f"""select distinct person_id from (select *, max(case when event_type = 'order_completed' then event_time end)
        over (partition by person_id, cart_id) n from events where event_type in ('product_added', 'order_completed') and {since(14)}) {ALLOWED}
        where event_type = 'product_added' and revenue >= 100 and (n is null or n <= event_time) and not {since(1)}""",
    "looked_twice_not_bought": f"""select distinct person_id from (select person_id, product_id from events
        where event_type in ('product_viewed', 'order_completed') and {since(7)} group by all
        having count(*) filter (event_type = 'product_viewed') >= 2 and count(*) filter (event_type = 'order_completed') = 0)""",
    "viewed_product_twice": f"select distinct person_id from (select person_id from events where {happened('product_viewed', 30)} group by person_id, product_id having count(*) >= 2)",
    "added_not_bought_7d": f"""select distinct person_id from events anti join (select person_id from events where {happened("order_completed", 7)}) using (person_id)
        where {happened("product_added", 14)} and not {since(7)}""",
    "frequent_browser": f"""select person_id from (select person_id from events where {happened("product_viewed", 30)} group by 1 having count(*) >= 5)
        anti join (select person_id from events where {happened("order_completed", 30)} group by 1 having count(*) >= 2) using (person_id)""",
    "slow_second_thought": f"""select distinct person_id from (select *, count(*) filter (event_type = 'order_completed')
        over (partition by person_id order by event_time range between interval 1 microsecond following and interval 1 hour following) n
        from events where event_type in ('checkout_started', 'order_completed') and {since(7)}) where event_type = 'checkout_started' and n = 0 and not {since(1 / 24)}""",
    "considered_purchase": f"""select distinct person_id from (select *, min(c) over (partition by person_id order by event_time
        range between interval 1 microsecond following and interval 3 days following) b from (select *, min(case when event_type = 'order_completed' then event_time end)
        over (partition by person_id order by event_time range between interval 1 microsecond following and interval 7 days following) c0,
        case when event_type = 'product_added' then c0 end c from events where event_type in ('product_viewed', 'product_added', 'order_completed') and {since(90)}))
        where event_type = 'product_viewed' and b <= event_time + interval 7 days""",
    "suppressed": f"""select person_id from events where event_type = 'unsubscribed' union
        select person_id from events where {happened("support_contacted", 14)} group by 1 having count(*) >= 3""",
    "lapsed_buyer": f"""select distinct person_id from events anti join (select person_id from events where {happened("order_completed", 90)}) using (person_id)
        anti join (select person_id from events where event_type = 'unsubscribed' union
            select person_id from events where {happened("support_contacted", 14)} group by 1 having count(*) >= 3) using (person_id)
        {ALLOWED} where {happened("order_completed", 365)} and not {since(90)}""",
    "vip": """select person_id from (select *, rank() over (order by revenue_365d desc) r, count(*) over () n from persons)
        where orders_365d >= 2 and r <= ceil(n / 10)""",
}


def generated(number: int, seed: int) -> str:
    """Definitions of one to three clauses: counts, absences, attributes."""
    chance = random.Random(seed)
    kinds = sorted(set(TYPES))
    documents = []
    for i in range(number):
        clauses = [f"{{did: {chance.choice(kinds)}, times: '>={chance.randrange(1, 6)}', in: {chance.randrange(1, 90)}d}}"]
        if chance.random() < 0.6:
            clauses.append(f"{{never: {chance.choice(kinds)}, in: {chance.randrange(1, 60)}d}}")
        if chance.random() < 0.5:
            clauses.append(f"{{age: {chance.randrange(18, 40)}..{chance.randrange(40, 75)}}}")
        documents.append(f"segment: generated_{i}\nwhere: {{all: [{', '.join(clauses)}]}}\n")
    return "---\n".join(documents)


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def count_all(segments: Any, connection: ibis.BaseBackend) -> dict[str, int]:
    """Sizes of all segments: the compiled expressions, in shared passes."""
    tables = {name: connection.table(name) for name in ("persons", "events", "consents")}
    sizes: dict[str, int] = {}
    for names in passes(segments):
        table = verdicts(segments.closure(names), **tables, as_of=AS_OF)
        sizes |= table.agg(**{name: table[name].sum() for name in names}).to_pyarrow().to_pylist()[0]
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("events", 20_000_000), ("persons", 1_000_000), ("segments", 1000), ("separate", 40), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    connection = shop(options.events, options.persons, options.threads)
    tables = {name: connection.table(name) for name in ("persons", "events", "consents")}

    demo = read_segments(Path(demo_path()) / "segments", default_catalog()).closure(HANDWRITTEN)
    by_hand, by_query = {}, {}
    for name, sql in HANDWRITTEN.items():
        by_query[name], by_hand[name] = timed(lambda sql=sql: connection.raw_sql(f"select count(*) from ({sql})").fetchone()[0])
    seconds, found = timed(lambda: evaluate(demo, **tables, as_of=AS_OF))
    sizes = {row["segment"]: row["size"] for row in found.health.to_pyarrow().to_pylist()}
    again, _ = timed(lambda: evaluate(demo, **tables, as_of=AS_OF, previous=found.memberships).release())

    segments = parse_segments(generated(options.segments, 1), default_catalog())
    shared, together = timed(lambda: count_all(segments, connection))
    sample = sorted(segments.segments)[:: max(1, options.segments // options.separate)]
    apart, alone = timed(lambda: {k: v for name in sample for k, v in count_all(segments.closure([name]), connection).items()})
    print(
        json.dumps(
            {
                "events": options.events,
                "persons": options.persons,
                "demo": {
                    "segments": len(sizes),
                    "memberships": sum(sizes.values()),
                    "seconds": round(seconds, 1),
                    "refresh_seconds": round(again, 1),
                    "by_hand_seconds": round(sum(by_query.values()), 1),
                    "ratio": round(seconds / sum(by_query.values()), 2),
                    "sizes_differ": {n: [sizes.get(n), by_hand[n]] for n in by_hand if sizes.get(n) != by_hand[n]},
                    "stale": dict(found.errors),
                },
                "shared": {
                    "segments": len(together),
                    "seconds": round(shared, 1),
                    "separate_seconds": round(apart / len(sample) * len(together), 1),
                    "separate_sample": len(sample),
                    "speed_up": round(apart / len(sample) * len(together) / shared, 1),
                    "sizes_agree": all(together[name] == size for name, size in alone.items()),
                },
                "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
