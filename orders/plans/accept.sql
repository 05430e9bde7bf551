-- Inserts a new plan with its event 1; its first step is due.
-- Takes:   id uuid; account bigint; client, key text or null; hash bytea; kind text; spec text (JSON).
-- Returns: (id) if it was inserted: nothing where the id or one of the account's keys is taken.
-- Locks:   the inserted row. Waits for another transaction that is inserting the same key.
WITH accepted AS (
    INSERT INTO orders_plan (id, account_id, client_plan_id, idempotency_key, request_hash, kind, spec, progress, status, seq,
        holder, created_at, updated_at)
    VALUES (%(id)s, %(account)s, %(client)s, %(key)s, %(hash)s, %(kind)s, %(spec)s::jsonb, '{}', 'active', 1, %(id)s, now(), now())
    ON CONFLICT DO NOTHING
    RETURNING id
), event AS (
    INSERT INTO orders_planevent (plan_id, seq, status, at, data) SELECT id, 1, 'active', now(), '{}' FROM accepted
)
SELECT id FROM accepted
