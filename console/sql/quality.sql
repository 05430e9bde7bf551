-- How well confirmed orders were executed, of a sample that costs the same however many there are.
-- Takes:   first, last (uuid[]): of each slice of time the first id, and the first one after it, the oldest slice first (ids sort by
--          time); most (int): orders of a slice that are looked at, the newest; account (bigint) and venue (text), null: all.
-- Returns: one row a group: kind (`all`, `slice`, `venue`, `account`, `share`); slice (from 1), venue, account_id, where the group
--          has one; orders; then medians and 95th percentiles: of slippage, in basis points of the quoted price that were not got,
--          and of the seconds in pending (without waiting for a trigger), routing, building, submitted.
-- Locks:   nothing.
-- OFFSET 0 and LIMIT keep each look-up one by key, whatever is known of the tables.
WITH slice AS (
    SELECT * FROM unnest(%(first)s::uuid[], %(last)s::uuid[]) WITH ORDINALITY AS t(first, last, n)
), sampled AS MATERIALIZED (
    SELECT s.n, o.* FROM slice s CROSS JOIN LATERAL (
        (SELECT id, account_id, status, venue, executed_price FROM orders_order
            WHERE %(account)s::bigint IS NULL AND id >= s.first AND id < s.last ORDER BY id DESC LIMIT %(most)s)
        UNION ALL
        (SELECT id, account_id, status, venue, executed_price FROM orders_order
            WHERE account_id = %(account)s::bigint AND id >= s.first AND id < s.last ORDER BY id DESC LIMIT %(most)s)
    ) o
), filled AS (
    SELECT * FROM sampled WHERE status = 'confirmed' AND (%(venue)s::text IS NULL OR venue = %(venue)s)
), measured AS MATERIALIZED (
    SELECT f.n, f.venue, f.account_id, e.*, 10000 * (1 - f.executed_price / NULLIF(e.quoted, 0)) AS slippage
    FROM filled f CROSS JOIN LATERAL (
        SELECT sum(took) FILTER (WHERE status = 'pending' AND NOT rested) AS pending,
            sum(took) FILTER (WHERE status = 'routing') AS routing,
            sum(took) FILTER (WHERE status = 'building') AS building,
            sum(took) FILTER (WHERE status = 'submitted') AS submitted,
            -- Of the attempt that traded: the last choice.
            (array_agg(quoted ORDER BY seq DESC) FILTER (WHERE quoted IS NOT NULL))[1] AS quoted
        FROM (
            SELECT seq, status, COALESCE((data ->> 'resting')::boolean, false) AS rested,
                extract(epoch FROM lead(at) OVER (ORDER BY seq) - at) AS took,
                CASE WHEN status = 'building' THEN (
                    SELECT (q ->> 'netPrice')::numeric FROM jsonb_array_elements(data -> 'quotes') q
                    WHERE q ->> 'venue' = data ->> 'venue' LIMIT 1) END AS quoted
            FROM orders_orderevent WHERE order_id = f.id OFFSET 0
        ) event
    ) e
)
SELECT CASE GROUPING(n, venue, account_id)
        WHEN 7 THEN 'all' WHEN 3 THEN 'slice' WHEN 5 THEN 'venue' WHEN 6 THEN 'account' ELSE 'share' END,
    n, venue, account_id, count(*),
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY slippage::float8),
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY pending::float8),
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY routing::float8),
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY building::float8),
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY submitted::float8)
FROM measured
GROUP BY GROUPING SETS ((), (n), (venue), (account_id), (n, venue))
