"""What the truth says about defects, identities, consents and the experiment agrees with what is delivered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import phonenumbers
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from email_validator import EmailNotValidError, validate_email

from connectors.shop.config import ShopConfig
from connectors.shop.dirt import DEFECTS
from connectors.types import Context
from seg_assets.schema.taxonomy import default_taxonomy, fold

First = Callable[[str], tuple]
EVENTS = {"tracking": "t", "orders": "o", "email": "e"}


def test_every_defect_code_is_documented_and_occurs(shop: duckdb.DuckDBPyConnection) -> None:
    found = dict(shop.execute("select distinct code, spoils from defects").fetchall())
    assert found == DEFECTS


def test_defects_name_their_rows_by_key(one: First) -> None:
    keys = {
        "tracking": "event_id",
        "orders": "event_id",
        "email": "event_id",
        "mentions": "mention_id",
        "consents": "consent_id",
        "enrichment": "enrichment_id",
    }
    for stream, key in keys.items():
        named, rows = one(
            f"select count(*) filter (where s.{key} = d.key), count(*) from defects d left join {stream} s using (slice, position) where d.stream = '{stream}'"
        )
        assert named == rows > 0, stream


@pytest.mark.parametrize("stream", EVENTS)
def test_unknown_event_types_are_exactly_the_recorded_ones(stream: str, shop: duckdb.DuckDBPyConnection) -> None:
    known = default_taxonomy().event_spellings()
    types = [name for (name,) in shop.execute(f"select distinct event_type from {stream}").fetchall()]
    strange = [name for name in types if fold(name) not in known]
    assert strange
    rows = set(shop.execute(f"select event_id from {stream} where event_type in (select unnest(?))", [strange]).fetchall())
    assert rows == set(shop.execute(f"select key from defects where stream = '{stream}' and code = 'unknown_event'").fetchall())


@pytest.mark.parametrize("stream", ["tracking", "orders"])
def test_unreadable_times_are_exactly_the_recorded_ones(stream: str, shop: duckdb.DuckDBPyConnection) -> None:
    rows = set(shop.execute(f"select event_id from {stream} where try_cast(event_time as timestamp) is null").fetchall())
    assert rows
    assert rows == set(shop.execute(f"select key from defects where stream = '{stream}' and code = 'bad_time'").fetchall())


@pytest.mark.parametrize(
    ("stream", "identifiers"), [("tracking", "user_id, anonymous_id, device_id, email"), ("orders", "user_id, email"), ("email", "email, null")]
)
def test_rows_without_identifier_are_exactly_the_recorded_ones(stream: str, identifiers: str, shop: duckdb.DuckDBPyConnection) -> None:
    rows = set(shop.execute(f"select event_id from {stream} where coalesce({identifiers}) is null").fetchall())
    assert rows
    assert rows == set(shop.execute(f"select key from defects where stream = '{stream}' and code = 'no_identifier'").fetchall())


@pytest.mark.parametrize("stream", ["tracking", "orders"])
def test_unusable_amounts_are_exactly_the_recorded_ones(stream: str, shop: duckdb.DuckDBPyConnection) -> None:
    condition = "revenue is not null and coalesce(try_cast(revenue as double), -1) <= 0"
    rows = set(shop.execute(f"select event_id from {stream} where {condition}").fetchall())
    assert rows
    assert rows == set(
        shop.execute(f"select key from defects where stream = '{stream}' and code in ('garbage_amount', 'negative_amount')").fetchall()
    )


@pytest.mark.parametrize("stream", EVENTS)
def test_copies_repeat_a_row_exactly_and_are_about_one_percent(stream: str, one: First) -> None:
    copies, rows = one(f"select count(*) - count(distinct event_id), count(*) from {stream}")
    (distinct,) = one(f"select count(*) from (select distinct * exclude (slice, position) from {stream})")
    (recorded,) = one(f"select count(*) from defects where stream = '{stream}' and code = 'duplicate'")
    assert copies == rows - distinct == recorded
    assert 0.008 < copies / rows < 0.012


def test_future_times_are_far_off_and_recorded(one: First) -> None:
    (future,) = one("select count(*) from tracking where try_cast(event_time as timestamptz) > '2027-01-01'")
    assert future == one("select count(*) from defects where stream = 'tracking' and code = 'future_time'")[0] > 0


def test_a_clean_shop_has_no_defects(read: Callable[..., dict[str, pa.Table]], context: Context, tmp_path: Path) -> None:
    config = ShopConfig(customers=2000, dirt=0, truth=str(tmp_path))
    known = default_taxonomy()
    for stream in ("crm", "tracking", "orders", "email", "consents", "enrichment", "mentions"):
        rows = pa.concat_tables(read(config, stream, context).values())
        key = rows.column_names[0]
        assert len(rows[key].unique()) == len(rows), stream
        if "event_type" in rows.column_names:
            assert set(rows["event_type"].to_pylist()) <= set(known.events)
    assert pq.read_table(tmp_path / "traps.parquet").num_rows == 0
    assert pq.read_table(tmp_path / "defects").filter(pa.compute.field("code") != "ambiguous_time").num_rows == 0


def test_half_the_dirt_is_half_the_defects(read: Callable[..., dict[str, pa.Table]], context: Context, tmp_path: Path) -> None:
    counts = []
    for dirt in (0.5, 1.0):
        read(ShopConfig(customers=4000, dirt=dirt, truth=str(tmp_path)), "tracking", context)
        counts.append(pq.read_table(tmp_path / "defects" / "tracking").num_rows)
    assert 0.4 < counts[0] / counts[1] < 0.6


def test_a_person_has_one_to_four_records(one: First) -> None:
    persons, least, most = one("select count(*), min(n), max(n) from (select person, count(*) n from records group by 1)")
    assert (persons, least, most) == (20_000, 1, 4)


def test_records_are_those_delivered(one: First) -> None:
    for stream, key in (("crm", "contact_id"), ("storefront", "user_id")):
        delivered, nameless = one(f"select count(*), count(*) - count({key}) from {stream}")
        matched, distinct = one(f"select count(*), count(distinct key) from records join {stream} on key = {key} where stream = '{stream}'")
        assert matched == delivered - nameless
        assert distinct == matched


def test_accounts_in_events_belong_to_persons_with_accounts(one: First) -> None:
    for stream in ("tracking", "orders", "mentions", "consents"):
        assert one(f"select count(*) from {stream} where user_id is not null and user_id not in (select user_id from accounts)") == (0,)


def test_cookies_lead_to_one_person_except_for_shared_devices(one: First) -> None:
    (shared,) = one("""
        with seen as (select anonymous_id, count(distinct person) as persons from clean_tracking join accounts using (user_id)
            where anonymous_id is not null group by 1)
        select count(*) from seen where persons > 1""")
    (mixed,) = one("select count(*) from traps where kind = 'device'")
    assert 0 < shared <= 3 * mixed


def test_traps_are_rare_and_share_what_they_say(one: First) -> None:
    (persons,) = one("select count(*) from traps")
    assert 0.002 < persons / 20_000 < 0.008
    same, both = one("""
        select count(*) filter (where a.email = b.email), count(*) from traps join addresses a on a.person = traps.person
        join addresses b on b.person = traps.other where traps.kind = 'email'""")
    assert same == both > 0


def test_anonymous_visits_before_sign_up_are_linked_by_the_cookie(one: First) -> None:
    (linked,) = one("""
        with known as (select anonymous_id, min(event_time) as since from clean_tracking where user_id is not null group by 1)
        select count(*) from clean_tracking t join known k using (anonymous_id) where t.user_id is null and t.event_time < k.since""")
    assert linked > 1000


def test_phone_numbers_are_valid_in_their_country(shop: duckdb.DuckDBPyConnection) -> None:
    bad = "select position from defects where stream = '{0}' and code = 'bad_phone'"
    for stream in ("crm", "storefront"):
        rows = shop.execute(
            f"select phone, upper(country) from {stream} where phone is not null and position not in ({bad.format(stream)}) limit 3000"
        )
        numbers = [phonenumbers.parse(phone, country) for phone, country in rows.fetchall()]
        assert all(phonenumbers.is_valid_number(number) for number in numbers)


def test_recorded_bad_phone_numbers_are_valid_nowhere(shop: duckdb.DuckDBPyConnection) -> None:
    rows = shop.execute(
        "select distinct phone, upper(country) from crm join defects d using (position) where d.stream = 'crm' and code = 'bad_phone'"
    )

    def valid(phone: str, country: str) -> bool:
        try:
            return phonenumbers.is_valid_number(phonenumbers.parse(phone, country))
        except phonenumbers.NumberParseException:
            return False

    found = rows.fetchall()
    assert found
    assert not [row for row in found if valid(*row)]


def test_phone_numbers_are_written_in_many_ways(shop: duckdb.DuckDBPyConnection) -> None:
    shapes = shop.execute("select distinct regexp_replace(phone, '[0-9]', '9', 'g') from crm where country = 'DE' and phone is not null").fetchall()
    assert {("999999999999",), ("9999 9999 9999",), ("9999/99999999",), ("+99999 9999 9999",)} <= set(shapes)


def test_addresses_are_valid_once_trimmed_unless_recorded(shop: duckdb.DuckDBPyConnection) -> None:
    rows = shop.execute("select email, position from crm where email is not null").fetchall()
    wrong = {row[0] for row in shop.execute("select position from defects where stream = 'crm' and code = 'bad_email'").fetchall()}

    def valid(address: str) -> bool:
        try:
            validate_email(address.strip(), check_deliverability=False)
        except EmailNotValidError:
            return False
        return True

    sample = [row for row in rows if row[1] in wrong] + rows[:1500]
    assert {position for address, position in sample if not valid(address)} == wrong & {position for _, position in rows}


def test_every_seventh_address_is_typed_with_capitals_or_blanks(one: First) -> None:
    (share,) = one("select avg((email <> lower(trim(email)))::int) from storefront")
    assert share == pytest.approx(0.14, abs=0.01)


def test_consent_state_follows_from_the_statements(one: First) -> None:
    assert one("""
        with last as (select person, purpose, arg_max(state, stated_at) = 'granted' and
                coalesce(arg_max(coalesce(expires_at, timestamptz '2999-01-01'), stated_at) >= timestamptz '2026-07-01', true) as granted
            from consent_statements group by all)
        select count(*) from consent_state s full join last l using (person, purpose) where s.granted is distinct from l.granted""") == (0,)


def test_delivered_consents_say_what_the_truth_says(one: First) -> None:
    rows, matched = one("""
        with given as (select * from consents where (slice, position) not in
                (select slice, position from defects where stream = 'consents' and spoils in ('row', 'copy'))),
        said as (select coalesce(a.person, b.person) as person, purpose, cast(stated_at as timestamptz) as stated_at from given g
            left join accounts a on a.user_id = g.user_id left join addresses b on b.email = lower(trim(g.email)))
        select count(*), count(t.person) from said s join persons p using (person) left join consent_statements t
            on t.person = s.person and t.purpose = s.purpose and date_trunc('millisecond', t.stated_at) = s.stated_at
            where s.person not in (select person from traps) and s.person not in (select other from traps)""")
    assert matched == rows > 20_000


def test_no_campaign_goes_to_people_who_do_not_allow_it(one: First) -> None:
    sends, against = one("""
        with sends as (select person, event_time from clean_email join addresses using (email) where event_type = 'campaign_received'
                and person not in (select person from traps union select other from traps)),
        latest as (select s.person, s.event_time, arg_max(c.state, c.stated_at) as state, arg_max(c.expires_at, c.stated_at) as expires_at
            from sends s join consent_statements c on c.person = s.person and c.purpose = 'marketing_email' and c.stated_at <= s.event_time
            group by all)
        select (select count(*) from sends), (select count(*) from sends) - count(*) from latest where state = 'granted'
            and coalesce(expires_at > event_time, true)""")
    assert sends > 10_000
    assert against == 0


def test_who_unsubscribes_withdraws_consent_at_that_moment(one: First) -> None:
    clicks, withdrawn = one("""
        select count(*), count(c.person) from clean_email e join addresses using (email) left join consent_statements c
            on c.person = addresses.person and c.purpose = 'marketing_email' and c.state = 'withdrawn' and c.stated_at = e.event_time
        where e.event_type = 'unsubscribed' and addresses.person not in (select person from traps union select other from traps)""")
    assert withdrawn == clicks > 50


def test_the_treatment_arm_is_who_got_the_test_campaign(one: First) -> None:
    (strangers,) = one("""
        select count(*) from clean_email join addresses using (email) join persons using (person)
        where campaign_id = 'spring-lookbook-test' and event_type = 'campaign_received' and arm <> 'treatment'
            and person not in (select person from traps union select other from traps)""")
    assert strangers == 0
    treated, control = one("select count(*) filter (where arm = 'treatment'), count(*) filter (where arm = 'control') from persons")
    assert abs(treated - control) < 4 * (treated + control) ** 0.5


def test_the_true_effect_is_what_was_planted(one: First) -> None:
    high, low, overall = one("""
        with e as (select effect, favourite_category in ('fashion', 'beauty', 'home') as likes from persons where arm <> 'none')
        select avg(effect) filter (where likes), avg(effect) filter (where not likes), avg(effect) from e""")
    assert high == pytest.approx(0.074, abs=0.004)
    assert low == pytest.approx(0.011, abs=0.001)
    assert overall == pytest.approx(0.045, abs=0.008)


def test_visits_show_the_planted_effect(shop: duckdb.DuckDBPyConnection) -> None:
    """Per affinity group, the difference in visit rates lies within 3.5 standard errors of the true mean effect."""
    groups = shop.execute("""
        with sent as (select min(event_time) as at from clean_email where campaign_id = 'spring-lookbook-test'),
        visitors as (select distinct person from clean_tracking join accounts using (user_id), sent
            where event_time between sent.at and sent.at + interval 14 day
            union select distinct person from clean_tracking t join
                (select distinct anonymous_id, person from clean_tracking join accounts using (user_id) where anonymous_id is not null) c
                on c.anonymous_id = t.anonymous_id, sent where t.event_time between sent.at and sent.at + interval 14 day)
        select favourite_category in ('fashion', 'beauty', 'home') as likes, arm, count(*), avg((person in (from visitors))::int), avg(effect)
        from persons where arm <> 'none' group by all""").fetchall()
    by = {(likes, arm): (n, rate, effect) for likes, arm, n, rate, effect in groups}
    for likes in (True, False):
        (n1, p1, effect), (n0, p0, _) = by[likes, "treatment"], by[likes, "control"]
        error = (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) ** 0.5
        assert abs(p1 - p0 - effect) < 3.5 * error, likes
    assert by[True, "treatment"][1] - by[True, "control"][1] > 0.03


def test_orders_in_the_truth_are_those_delivered(one: First) -> None:
    (wrong,) = one("""
        with made as (select person, count(distinct order_id) as n from orders join accounts using (user_id)
            where event_type not in ('order_refunded', 'Order Refunded', 'refund') group by 1)
        select count(*) from persons join made using (person) where has_account and abs(persons.orders - made.n) > 1""")
    assert wrong == 0


def test_who_left_orders_no_more(one: First) -> None:
    assert one("""
        select count(*) from clean_orders join accounts using (user_id) join persons using (person)
        where event_type = 'order_completed' and event_time > left_at + interval 3 hour""") == (0,)


def test_times_that_exist_twice_are_recorded(read: Callable[..., dict[str, pa.Table]], context: Context, tmp_path: Path) -> None:
    read(ShopConfig(customers=40_000, truth=str(tmp_path)), "orders", context)
    found = pq.read_table(tmp_path / "defects" / "orders" / "2025-10.parquet").to_pylist()
    doubled = {row["key"] for row in found if row["code"] == "ambiguous_time"}
    rows = read(ShopConfig(customers=40_000), "orders", context)["2025-10"].to_pylist()
    assert doubled
    assert {row["event_id"] for row in rows if "2025-10-26 02:" in row["event_time"]} == doubled
