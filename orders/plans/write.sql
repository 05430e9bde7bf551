-- Writes what steps decided about their plans, which the transaction has locked. A leg that fires may have its turn again.
-- Takes:   plans jsonb array of {id, status, due_at, progress, ended, event}; `event` null where nothing happened to the plan.
-- Returns: (id, seq) of each with an event.
-- Locks:   nothing more.
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(%(plans)s::jsonb)
        AS t(id uuid, status text, due_at timestamptz, progress jsonb, ended boolean, event jsonb)
), written AS (
    UPDATE orders_plan p SET status = w.status, due_at = w.due_at, progress = w.progress,
        holder = CASE WHEN p.holder = ANY(ARRAY[p.id, '00000000-0000-0000-0000-000000000000'::uuid]) THEN NULL ELSE p.holder END,
        seq = p.seq + (w.event IS NOT NULL)::int,
        updated_at = CASE WHEN w.event IS NOT NULL THEN now() ELSE p.updated_at END,
        finished_at = CASE WHEN w.ended THEN COALESCE(p.finished_at, now()) END
    FROM wanted w WHERE p.id = w.id
    RETURNING p.id, p.seq, p.status, w.event
), event AS (
    INSERT INTO orders_planevent (plan_id, seq, status, at, data)
    SELECT id, seq, status, now(), event FROM written WHERE event IS NOT NULL
)
SELECT id, seq FROM written WHERE event IS NOT NULL
