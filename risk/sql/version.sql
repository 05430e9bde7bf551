-- Changes are numbered in the order of their commits: see `risk.changes`.
-- Returns: (the newest change, the newest state of a budget that has a limit).
-- Locks:   nothing.
SELECT (SELECT id FROM risk_change ORDER BY id DESC LIMIT 1),
    (SELECT sum(b.spent + b.lost) FROM risk_budget b WHERE b.account_id = ANY(%(limited)s::bigint[])),
    (now() AT TIME ZONE 'UTC')::date
