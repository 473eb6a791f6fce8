-- What the floor leaves out and the lake has: every column of every event typed, deduplicated, and stored in order, a file a day. No quarantine, no check.
COPY (
    SELECT DISTINCT ON (event_id)
        trim(event_id) AS event_id,
        CASE WHEN folded IN ('add_to_cart', 'added_to_cart') THEN 'product_added' WHEN folded IN ('purchase', 'order', 'transaction') THEN 'order_completed'
             WHEN folded = 'begin_checkout' THEN 'checkout_started' WHEN folded = 'refund' THEN 'order_refunded' ELSE folded END AS event_type,
        TRY_CAST(event_time AS TIMESTAMPTZ) AS event_time, received_at, trim(user_id) AS user_id, trim(anonymous_id) AS anonymous_id, trim(device_id) AS device_id,
        lower(trim(email)) AS email, trim(session_id) AS session_id, lower(trim(channel)) AS channel, lower(trim(device)) AS device, trim(product_id) AS product_id,
        trim(category) AS category, trim(cart_id) AS cart_id, trim(order_id) AS order_id, trim(campaign_id) AS campaign_id, TRY_CAST(quantity AS BIGINT) AS quantity,
        TRY_CAST(revenue AS DECIMAL(18, 2)) AS revenue, upper(trim(currency)) AS currency, TRY_CAST(percent AS DOUBLE) AS percent,
        make_timestamp(epoch_us(TRY_CAST(event_time AS TIMESTAMPTZ)))::DATE AS day
    FROM (SELECT *, replace(replace(lower(trim(event_type)), ' ', '_'), '-', '_') AS folded FROM read_parquet([{files}], union_by_name = true))
    WHERE TRY_CAST(event_time AS TIMESTAMPTZ) IS NOT NULL AND coalesce(user_id, anonymous_id, email) IS NOT NULL
    ORDER BY day, event_id
) TO '{out}' (FORMAT parquet, COMPRESSION snappy, PARTITION_BY (day));
