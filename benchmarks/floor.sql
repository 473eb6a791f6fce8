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

CREATE TEMP TABLE favourites AS
SELECT person, arg_min(category, rank) FILTER (category IS NOT NULL) AS top_category, count(DISTINCT category) AS categories,
    arg_min(channel, channel_rank) FILTER (channel IS NOT NULL) AS top_channel
FROM (SELECT person, category, channel, (1000000 - sum(n) OVER (PARTITION BY person, category))::VARCHAR || category AS rank,
             (1000000 - sum(n) OVER (PARTITION BY person, channel))::VARCHAR || channel AS channel_rank
      FROM (SELECT person, category, channel, count(*) AS n FROM known GROUP BY ALL))
GROUP BY person;

CREATE TEMP TABLE features AS
SELECT k.person, min(event_time) AS first_event_time, max(event_time) AS last_event_time, max(event_time) FILTER (event_type = 'order_completed') AS last_order_time,
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
    count(*) FILTER (age < 90 AND event_type = 'email_opened') AS email_opens_90d, count(*) FILTER (age < 90 AND event_type = 'email_clicked') AS email_clicks_90d,
    any_value(top_category) AS top_category, any_value(categories) AS categories, any_value(top_channel) AS top_channel
FROM known k LEFT JOIN favourites f ON k.person = f.person
GROUP BY k.person;
