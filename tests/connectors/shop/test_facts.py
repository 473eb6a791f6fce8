"""The generated shop looks like the data sets it is calibrated from. Figures: UCI Online Retail, CDNOW, Hillstrom, Online Shoppers."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest

from connectors.shop.personas import NAMES, NOISE_SHARE, PERSONAS

First = Callable[[str], tuple]
BUYERS = "(select orders from persons where orders > 0)"


def test_shares_of_personas_are_as_planted(shop: duckdb.DuckDBPyConnection) -> None:
    counts = dict(shop.execute("select persona, count(*) / 20000 from persons group by 1").fetchall())
    planted = dict(zip(NAMES, [*(p.share for p in PERSONAS), NOISE_SHARE], strict=True))
    assert sum(planted.values()) == pytest.approx(1)
    for name, share in planted.items():
        assert counts[name] == pytest.approx(share, abs=0.01)


def test_about_twenty_events_per_customer_a_year_with_a_heavy_tail(one: First) -> None:
    rows, median, high = one("""
        with e as (select coalesce(user_id, anonymous_id, device_id) as id from tracking union all select email from email
            union all select coalesce(user_id, email) from orders)
        select count(*), (select median(n) from (select count(*) n from e group by id)), (select quantile_cont(n, .99) from (select count(*) n from e group by id))
        from e""")
    assert 17 < rows / 20_000 < 24
    assert high > 10 * median


def test_one_time_buyers_are_34_to_51_percent(one: First) -> None:
    (share,) = one(f"select avg((orders = 1)::int) from {BUYERS}")
    assert 0.34 < share < 0.51


def test_orders_per_buyer_have_the_right_tail(one: First) -> None:
    median, p90, p99 = one(f"select median(orders), quantile_cont(orders, .9), quantile_cont(orders, .99) from {BUYERS}")
    assert 1 <= median <= 2
    assert 6 <= p90 <= 9
    assert 17 <= p99 <= 30


def test_a_tenth_of_buyers_brings_half_of_the_revenue(one: First) -> None:
    (share,) = one("""
        with buyers as (select sum(revenue) v from clean_orders where event_type = 'order_completed' group by coalesce(user_id, lower(trim(email)))),
        ranked as (select v, row_number() over (order by v desc) k, count(*) over () n from buyers)
        select sum(v) filter (where k <= n * .1) / sum(v) from ranked""")
    assert 0.44 < share < 0.61


def test_order_values_are_lognormal_around_60_to_90(one: First) -> None:
    mean, spread, skew = one("""
        with o as (select sum(revenue) v from clean_orders where event_type = 'order_completed' group by order_id)
        select avg(ln(v)), stddev(ln(v)), skewness(ln(v)) from o""")
    assert 4.0 < mean < 4.6
    assert 0.8 < spread < 1.07
    assert abs(skew) < 0.4


def test_days_between_orders_are_few_for_some_and_months_for_others(one: First) -> None:
    p10, p50, p90 = one("""
        with o as (select coalesce(user_id, email) who, order_id, min(event_time) as moment from clean_orders where event_type = 'order_completed' group by all),
        gaps as (select epoch(moment - lag(moment) over (partition by who order by moment)) / 86400 g from o)
        select quantile_cont(g, .1), quantile_cont(g, .5), quantile_cont(g, .9) from gaps""")
    assert p10 < 6
    assert 14 < p50 < 34
    assert 80 < p90 < 132


def test_november_is_high_season_and_february_is_low(one: First) -> None:
    november, february = one("""
        with m as (select month(event_time) m, count(*) * 12.0 / sum(count(*)) over () i from clean_orders group by 1)
        select any_value(i) filter (where m = 11), any_value(i) filter (where m = 2) from m""")
    assert 1.44 < november < 2.16
    assert 0.5 < february < 0.84


def test_a_sixth_of_visits_ends_in_an_order(one: First) -> None:
    (share,) = one("""
        select (select count(distinct cart_id) from clean_orders where cart_id in (select cart_id from clean_tracking))
            / (select count(distinct session_id) from clean_tracking)""")
    assert 0.125 < share < 0.20


def test_the_funnel_narrows_from_views_to_carts_to_orders(one: First) -> None:
    views, adds, checkouts = (
        one("""select count(*) filter (where event_type = 'product_viewed'), count(*) filter (where event_type = 'product_added'),
        count(*) filter (where event_type = 'checkout_started') from clean_tracking""")
    )
    assert 6 < views / adds < 11
    assert 1.8 < adds / checkouts < 3


def test_visits_are_short_with_a_heavy_tail(one: First) -> None:
    median, p99 = one("select median(n), quantile_cont(n, .99) from (select count(*) n from clean_tracking group by session_id)")
    assert 3 <= median <= 6
    assert p99 > 4 * median


def test_carts_are_checked_out_fast_or_left_for_days(one: First) -> None:
    carts, fast, left = one("""
        with adds as (select cart_id, max(event_time) as moment from clean_tracking where event_type = 'product_added' group by 1),
        pays as (select cart_id, min(event_time) as moment from clean_tracking where event_type = 'checkout_started' group by 1)
        select count(*), count(*) filter (where pays.moment > adds.moment and pays.moment <= adds.moment + interval 10 minute),
            count(*) filter (where adds.cart_id not in (select cart_id from clean_orders where cart_id is not null)
                and adds.moment < timestamptz '2026-06-28') from adds left join pays using (cart_id)""")
    assert fast / carts > 0.2
    assert left / carts > 0.2


def test_some_carts_are_ordered_days_after_they_were_filled(one: First) -> None:
    (late,) = one("""
        select count(distinct o.cart_id) from clean_orders o join clean_tracking t using (cart_id)
        where t.event_type = 'product_added' and o.event_time > t.event_time + interval 24 hour""")
    assert late > 100


def test_orders_follow_their_checkout_on_the_same_cart(one: First) -> None:
    carts, late = one("""
        with pays as (select cart_id, max(event_time) as moment from clean_tracking where event_type = 'checkout_started' and event_id not in
                (select key from defects where code = 'clock_skew') group by 1),
        placed as (select cart_id, min(event_time) as moment from clean_orders where event_id not in (select key from defects where code = 'ambiguous_time')
            and event_type = 'order_completed' group by 1)
        select count(*), count(*) filter (where placed.moment < date_trunc('second', pays.moment)) from pays join placed using (cart_id)""")
    assert carts > 3000
    assert late == 0


def test_products_are_looked_at_twice_and_not_bought(one: First) -> None:
    (persons,) = one("""
        with seen as (select anonymous_id, product_id from clean_tracking where event_type = 'product_viewed' and anonymous_id is not null
            group by all having count(*) >= 2)
        select count(distinct anonymous_id) from seen where product_id not in
            (select product_id from clean_tracking t where t.anonymous_id = seen.anonymous_id and event_type = 'product_added')""")
    assert persons > 500


def test_events_arrive_late_as_planned(one: First) -> None:
    hour, two_days, fortnight, early = one("""
        with d as (select epoch(received_at - event_time) s from clean_tracking where event_id not in (select key from defects where code = 'clock_skew'))
        select avg((s < 3600)::int), avg((s between 3600 and 172800)::int), max(s) / 86400, min(s) from d""")
    assert hour == pytest.approx(0.90, abs=0.01)
    assert two_days == pytest.approx(0.09, abs=0.01)
    assert 12 < fortnight < 14.01
    assert early >= 0


def test_activity_follows_the_hours_of_the_persona(one: First) -> None:
    early, late = one("""
        with a as (select persona, hour(event_time) h from clean_tracking join accounts using (user_id) join persons using (person))
        select median(h) filter (where persona = 'outdoor_athlete'), median(h) filter (where persona = 'mobile_trendsetter') from a""")
    assert early < 11
    assert late > 17


def test_channels_follow_taste(one: First) -> None:
    store, other = one("""
        select avg((lower(channel) in ('store', 'pos'))::int) filter (where preferred_channel = 'store'),
            avg((lower(channel) in ('store', 'pos'))::int) filter (where preferred_channel <> 'store')
        from clean_orders join accounts using (user_id) join persons using (person)""")
    assert store > 0.6
    assert other < 0.2


def test_an_email_soon_after_another_is_opened_less(one: First) -> None:
    fresh, tired = one("""
        with e as (select email, left(campaign_id, 12) as month, right(campaign_id, 1) as nth, bool_or(event_type = 'email_opened') as opened
            from clean_email join addresses using (email) join persons using (person)
            where campaign_id like 'news-%' and preferred_channel = 'email' group by all)
        select avg(e.opened::int) filter (where b.email is null), avg(e.opened::int) filter (where b.email is not null)
        from e left join e b on b.email = e.email and b.month = e.month and b.nth = '1' where e.nth = '2'""")
    assert tired < 0.9 * fresh


def test_many_but_not_all_are_still_there_at_the_end(one: First) -> None:
    everyone, buyers = one("select avg(alive::int), avg(alive::int) filter (where orders > 0) from persons")
    assert 0.6 < everyone < 0.8
    assert 0.5 < buyers < 0.75


def test_purposes_are_granted_as_assumed(shop: duckdb.DuckDBPyConnection) -> None:
    share = dict(
        shop.execute(
            """select purpose, count(distinct person) filter (where state = 'granted') / 20000 from consent_statements group by 1"""
        ).fetchall()
    )
    for purpose, expected in (("marketing_email", 0.62), ("marketing_sms", 0.28), ("advertising", 0.41), ("profiling", 0.70)):
        assert share[purpose] == pytest.approx(expected, abs=0.02)


def test_returns_are_a_few_percent_of_lines(one: First) -> None:
    (share,) = one("select avg((event_type = 'order_refunded')::int) from clean_orders")
    assert 0.015 < share < 0.045


def test_the_data_provider_is_mostly_right(one: First) -> None:
    (share,) = one("""
        select avg((if(lower(value) in ('city'), 'urban', if(value = 'suburb', 'suburban', if(value = 'countryside', 'rural', value))) = area)::int)
        from enrichment e join addresses a on a.email = lower(trim(e.email)) join persons using (person) where attribute = 'area'""")
    assert 0.88 < share < 0.96


def test_people_about_to_leave_sound_less_happy(one: First) -> None:
    leaving, others = one("""
        select avg(sentiment) filter (where mention_time > left_at - interval 30 day),
            avg(sentiment) filter (where left_at is null or mention_time < left_at - interval 30 day)
        from mentions join accounts using (user_id) join persons using (person) where sentiment between -1 and 1""")
    assert leaving < others - 0.3
