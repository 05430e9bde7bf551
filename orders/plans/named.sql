-- Locks one plan. Waits for whoever has it locked.
-- Takes:   id uuid.
-- Returns: as due.sql.
SELECT id, account_id, spec::text AS spec, status, seq, holder IS NOT NULL AND holder = ANY(ARRAY[id, '00000000-0000-0000-0000-000000000000'::uuid]) AS held, progress, created_at,
    now() AS now
FROM orders_plan
WHERE id = %(id)s
FOR UPDATE
