-- Finds the plans that have one of the keys, or the id, of a plan that `accept.sql` did not insert.
-- Takes:   id uuid; account bigint; client, key text or null.
-- Returns: (id, request_hash).
-- Locks:   nothing.
SELECT id, request_hash FROM orders_plan
WHERE id = %(id)s OR account_id = %(account)s AND (client_plan_id = %(client)s::text OR idempotency_key = %(key)s::text)
