-- The events that a stream lacks of some orders.
-- Takes:   ids uuid[]; seqs int[]: the last one that was sent, 0 where none is known to have been; since timestamptz: of
--          those with 0, what is dated before was sent or is not asked for.
-- Returns: order_id, event_seq, event_status, event_at, event_data (text), by order and seq.
-- Locks:   nothing.
-- OFFSET 0 keeps the events looked up by key, whatever is known of the table.
SELECT o.id AS order_id, e.seq AS event_seq, e.status AS event_status, e.at AS event_at, e.data::text AS event_data
FROM unnest(%(ids)s::uuid[], %(seqs)s::int[]) AS sent(id, seq)
JOIN orders_order o ON o.id = sent.id
CROSS JOIN LATERAL (
    -- By seq, so that no number is left out where a later event is dated earlier.
    SELECT CASE WHEN sent.seq > 0 THEN sent.seq + 1
        ELSE (SELECT min(seq) FROM orders_orderevent WHERE order_id = o.id AND at >= %(since)s)
    END AS first
) f
CROSS JOIN LATERAL (
    SELECT seq, status, at, data FROM orders_orderevent
    WHERE order_id = o.id AND seq BETWEEN f.first AND o.seq OFFSET 0
) e
ORDER BY o.id, e.seq
