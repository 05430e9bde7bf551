-- How many fills accounts have of a span of time. Whoever has many has at least `most`.
-- Takes:   account bigint[] and since timestamptz[], of one length: of then or later; until timestamptz: before; mode text; most int.
-- Returns: (account, fills) of those that have any.
-- Locks:   nothing.
SELECT a.id, n.fills
FROM unnest(%(account)s::bigint[], %(since)s::timestamptz[]) AS a(id, since)
CROSS JOIN LATERAL (
    SELECT (SELECT count(*) FROM (
        SELECT FROM orders_order
        WHERE account_id = a.id AND status = 'confirmed' AND COALESCE(mode, 'mock') = %(mode)s
            AND finished_at >= a.since AND finished_at < %(until)s LIMIT %(most)s) o
    ) + (SELECT count(*) FROM (
        SELECT FROM orders_keptfill
        WHERE account_id = a.id AND mode = %(mode)s AND at >= a.since AND at < %(until)s LIMIT %(most)s) k
    ) AS fills
) n
WHERE n.fills > 0
