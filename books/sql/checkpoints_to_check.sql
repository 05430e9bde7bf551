-- The checkpoints that come next by their ids, each with what to hold against it: how many fills there are in it beyond the one before.
-- Takes:   mode text, after bigint (id), most int.
-- Returns: (id, account, fills, positions text, expected, found), by id.
-- Locks:   nothing.
SELECT c.id, c.account_id, c.fills, c.positions::text, c.fills - COALESCE(b.fills, 0), (
        SELECT count(*) FROM orders_order o
        WHERE o.account_id = c.account_id AND o.status = 'confirmed' AND COALESCE(o.mode, 'mock') = c.mode
            AND o.finished_at >= COALESCE(b.at, '-infinity') AND o.finished_at <= c.at AND (o.finished_at, o.id) <= (c.at, c.order_id)
            AND (b.at IS NULL OR (o.finished_at, o.id) > (b.at, b.order_id))
    ) + (
        SELECT count(*) FROM orders_keptfill o
        WHERE o.account_id = c.account_id AND o.mode = c.mode
            AND o.at >= COALESCE(b.at, '-infinity') AND o.at <= c.at AND (o.at, o.id) <= (c.at, c.order_id)
            AND (b.at IS NULL OR (o.at, o.id) > (b.at, b.order_id))
    )
FROM (SELECT * FROM books_checkpoint WHERE mode = %(mode)s AND id > %(after)s ORDER BY id LIMIT %(most)s) c
LEFT JOIN LATERAL (
    SELECT at, order_id, fills FROM books_checkpoint
    WHERE account_id = c.account_id AND mode = c.mode AND fills < c.fills ORDER BY fills DESC LIMIT 1
) b ON true
ORDER BY c.id
