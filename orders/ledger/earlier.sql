-- Finds the orders that have the keys, or the id, of orders that `accept.sql` did not insert.
-- Takes:   n int[] place in the batch, id uuid[], account bigint[], client text[], key text[]; arrays of one length.
-- Returns: (n, id, created_at, status, request_hash); two rows for one n if its two keys belong to two orders.
-- Locks:   nothing.
WITH wanted AS (
    SELECT * FROM unnest(%(n)s::int[], %(id)s::uuid[], %(account)s::bigint[], %(client)s::text[], %(key)s::text[])
        AS t(n, id, account, client, key)
)
SELECT n, o.id, o.created_at, o.status, o.request_hash
FROM wanted JOIN orders_order o ON o.account_id = account AND o.client_order_id = client
UNION
SELECT n, o.id, o.created_at, o.status, o.request_hash
FROM wanted JOIN orders_order o ON o.account_id = account AND o.idempotency_key = key
UNION
SELECT n, o.id, o.created_at, o.status, o.request_hash
-- LIMIT makes it one look-up for each: a plan that was made while there were few orders read them all.
FROM wanted, LATERAL (SELECT * FROM orders_order WHERE orders_order.id = wanted.id LIMIT 1) o
