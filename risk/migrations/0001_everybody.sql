-- The rule of everybody is always there: every change locks it first, so that changes are numbered in the order of their commits.
INSERT INTO risk_rule (account_id, state, state_by_staff, limits_by_staff) VALUES (0, 'ACTIVE', false, false) ON CONFLICT DO NOTHING;
INSERT INTO risk_budget (account_id, day, spent, lost) VALUES (0, (now() AT TIME ZONE 'UTC')::date, 0, 0) ON CONFLICT DO NOTHING;
