-- Locks plans whose step is due: something has happened to a leg, or their time has come.
-- Takes:   most int.
-- Returns: (id, account_id, spec::text, status, seq, held, progress, created_at, now()) of each; `held`: no leg may go on
--          before the step.
-- Locks:   the plans; skips those that another transaction has locked.
SELECT id, account_id, spec::text AS spec, status, seq, holder IS NOT NULL AND holder = ANY(ARRAY[id, '00000000-0000-0000-0000-000000000000'::uuid]) AS held, progress, created_at,
    now() AS now
FROM orders_plan
WHERE holder = id OR due_at <= now()
ORDER BY due_at NULLS FIRST, id LIMIT %(most)s
FOR UPDATE SKIP LOCKED
