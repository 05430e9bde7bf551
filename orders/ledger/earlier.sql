-- Finds the orders that have the keys, or the id, of orders that `accept.sql` did not insert.
-- Takes:   n int[] place in the batch, id uuid[], account bigint[], client text[], key text[]; arrays of one length.
-- Returns: (n, id, created_at, status, request_hash); two rows for one n if its two keys belong to two orders.
-- Locks:   nothing.
WITH wanted AS (
    SELECT * FROM unnest(%(n)s::int[], %(id)s::uuid[], %(account)s::bigint[], %(client)s::text[], %(key)s::text[])
        AS t(n, id, account, client, key)
)
-- LIMIT makes it one look-up for each: a plan that was made while there were few orders read them all.
SELECT n, o.id, o.created_at, o.status, o.request_hash
FROM wanted, LATERAL (SELECT * FROM orders_order WHERE account_id = account AND client_order_id = client LIMIT 1) o
UNION
SELECT n, o.id, o.created_at, o.status, o.request_hash
FROM wanted, LATERAL (SELECT * FROM orders_order WHERE account_id = account AND idempotency_key = key LIMIT 1) o
UNION
SELECT n, o.id, o.created_at, o.status, o.request_hash
FROM wanted, LATERAL (SELECT * FROM orders_order WHERE orders_order.id = wanted.id LIMIT 1) o
