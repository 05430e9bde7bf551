-- One page of an account's orders that have changed since a time, with their events from the first one since then on.
-- Takes:   account (its id); since timestamptz; after uuid: the last order of the page before; page: orders at most.
-- Returns: order_id, event_seq, event_status, event_at, event_data (text), by order and seq. No row: there is no more.
-- Locks:   nothing.
-- Each half reads an index of its own; OFFSET 0 keeps the events looked up by key, whatever is known of the table.
WITH changed AS MATERIALIZED (
    SELECT id, seq FROM (
        SELECT id, seq FROM orders_order WHERE account_id = %(account)s AND finished_at >= %(since)s
        UNION ALL
        SELECT id, seq FROM orders_order
        WHERE account_id = %(account)s AND finished_at IS NULL AND updated_at >= %(since)s
    ) o
    WHERE id > %(after)s ORDER BY id LIMIT %(page)s
)
SELECT c.id AS order_id, e.seq AS event_seq, e.status AS event_status, e.at AS event_at, e.data::text AS event_data
FROM changed c
CROSS JOIN LATERAL (
    -- By seq, so that no number is left out where a later event is dated earlier.
    SELECT min(seq) AS first FROM orders_orderevent WHERE order_id = c.id AND at >= %(since)s
) f
CROSS JOIN LATERAL (
    SELECT seq, status, at, data FROM orders_orderevent
    WHERE order_id = c.id AND seq BETWEEN f.first AND c.seq OFFSET 0
) e
ORDER BY c.id, e.seq
