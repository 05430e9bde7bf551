-- Takes submitted orders away from their owner, in a new epoch; the intent stays, so the next owner asks the chain first.
-- Takes:   executor uuid and ids uuid[]: those of the executor's orders; or executor null: the orders of all executors that
--          are not alive, at most `most`.
-- Returns: (id) of each order freed.
-- Locks:   the rows freed; skips rows that another transaction has locked.
WITH held AS (
    SELECT id FROM orders_order o
    WHERE run_at IS NOT NULL AND status = 'submitted' AND executor IS NOT NULL
        AND (o.id = ANY(%(ids)s::uuid[]) AND executor = %(executor)s
            OR %(executor)s IS NULL
                AND NOT EXISTS (SELECT 1 FROM orders_executor e WHERE e.id = o.executor AND e.state = 'alive'))
    ORDER BY id LIMIT %(most)s FOR UPDATE SKIP LOCKED
)
UPDATE orders_order o SET executor = NULL, epoch = epoch + 1, updated_at = now() FROM held WHERE o.id = held.id RETURNING o.id
