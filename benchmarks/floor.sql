-- The least that gives the columns of profiles/features: typed, deduplicated events, anonymous ids joined to user ids, one pass of aggregates.
CREATE TEMP TABLE events AS
SELECT DISTINCT ON (event_id)
    event_id,
    CASE WHEN folded IN ('add_to_cart', 'added_to_cart') THEN 'product_added' WHEN folded IN ('purchase', 'order', 'transaction') THEN 'order_completed'
         WHEN folded = 'begin_checkout' THEN 'checkout_started' WHEN folded = 'refund' THEN 'order_refunded' ELSE folded END AS event_type,
    TRY_CAST(event_time AS TIMESTAMPTZ) AS event_time, user_id, anonymous_id, email, order_id, category, channel, TRY_CAST(revenue AS DECIMAL(18, 2)) AS revenue
FROM (SELECT *, replace(replace(lower(trim(event_type)), ' ', '_'), '-', '_') AS folded FROM read_parquet([{files}], union_by_name = true))
WHERE TRY_CAST(event_time AS TIMESTAMPTZ) IS NOT NULL AND coalesce(user_id, anonymous_id, email) IS NOT NULL;

CREATE TEMP TABLE ids AS
SELECT anonymous_id, min(user_id) AS user_id FROM events WHERE anonymous_id IS NOT NULL AND user_id IS NOT NULL GROUP BY anonymous_id;

CREATE TEMP TABLE known AS
SELECT coalesce(e.user_id, i.user_id, e.anonymous_id, lower(trim(e.email))) AS person, e.*, (event_time AT TIME ZONE 'UTC')::DATE AS day,
    date_diff('day', (event_time AT TIME ZONE 'UTC')::DATE, (TIMESTAMPTZ '{as_of}' AT TIME ZONE 'UTC')::DATE) AS age
FROM events e LEFT JOIN ids i ON e.anonymous_id = i.anonymous_id
WHERE event_time <= TIMESTAMPTZ '{as_of}';

CREATE TEMP TABLE counts AS SELECT person, category, channel, count(*) AS n FROM known GROUP BY ALL;

CREATE TEMP TABLE categories AS
SELECT person, arg_min(category, rank) AS top_category, count(*) AS categories,
    array_to_string(list_transform(list_sort(list({'rank': -total, 'category': category}))[1:3], lambda one: one.category), ', ') AS top_categories
FROM (SELECT person, category, sum(n) AS total, (1000000000000 - sum(n))::VARCHAR || category AS rank FROM counts WHERE category IS NOT NULL GROUP BY person, category)
GROUP BY person;

CREATE TEMP TABLE channels AS
SELECT person, arg_min(channel, rank) AS top_channel
FROM (SELECT person, channel, (1000000000000 - sum(n))::VARCHAR || channel AS rank FROM counts WHERE channel IS NOT NULL GROUP BY person, channel)
GROUP BY person;

CREATE TEMP TABLE features AS
WITH persons AS (
    SELECT person, min(event_time) AS first_event_time, max(event_time) AS last_event_time, max(event_time) FILTER (event_type = 'order_completed') AS last_order_time,
        count(DISTINCT day) FILTER (age < 30) AS active_days_30d, count(DISTINCT day) FILTER (age < 90) AS active_days_90d,
        count(*) FILTER (age < 7) AS events_7d, count(*) FILTER (age < 30) AS events_30d, count(*) FILTER (age < 90) AS events_90d, count(*) AS events_total,
        count(*) FILTER (age < 30 AND event_type = 'product_viewed') AS views_30d, count(*) FILTER (age < 30 AND event_type = 'product_added') AS adds_30d,
        count(DISTINCT order_id) FILTER (age < 30 AND event_type = 'order_completed') AS orders_30d,
        count(DISTINCT order_id) FILTER (age < 90 AND event_type = 'order_completed') AS orders_90d,
        count(DISTINCT order_id) FILTER (age < 365 AND event_type = 'order_completed') AS orders_365d,
        count(DISTINCT order_id) FILTER (event_type = 'order_completed') AS orders_total,
        sum(revenue) FILTER (age < 30 AND event_type = 'order_completed') AS revenue_30d, sum(revenue) FILTER (age < 90 AND event_type = 'order_completed') AS revenue_90d,
        sum(revenue) FILTER (age < 365 AND event_type = 'order_completed') AS revenue_365d, sum(revenue) FILTER (event_type = 'order_completed') AS revenue_total,
        sum(revenue) FILTER (event_type = 'order_refunded') AS refunds_total,
        count(*) FILTER (age < 90 AND event_type = 'email_opened') AS email_opens_90d, count(*) FILTER (age < 90 AND event_type = 'email_clicked') AS email_clicks_90d
    FROM known
    GROUP BY person
)
SELECT p.* EXCLUDE (last_order_time, refunds_total),
    round((epoch(TIMESTAMPTZ '{as_of}') - epoch(first_event_time)) / 86400, 4) AS tenure_days,
    round((epoch(TIMESTAMPTZ '{as_of}') - epoch(last_event_time)) / 86400, 4) AS days_since_event,
    round((epoch(TIMESTAMPTZ '{as_of}') - epoch(last_order_time)) / 86400, 4) AS days_since_order,
    least(refunds_total::DOUBLE / nullif(revenue_total, 0)::DOUBLE, 1.0) AS refund_share, round(revenue_total::DOUBLE / nullif(orders_total, 0), 2) AS avg_order_value,
    top_category, top_categories, coalesce(categories, 0) AS categories, top_channel
FROM persons p LEFT JOIN categories USING (person) LEFT JOIN channels USING (person);
