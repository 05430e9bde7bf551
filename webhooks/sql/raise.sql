-- Writes the alerts that follow from rules of risk: a change of a trading state, and a budget that is used up, once a day.
-- Takes:   since timestamptz: changes and refused orders of before have their alerts.
-- Returns: nothing; its row count is the number of new alerts.
-- Locks:   the rows inserted.
WITH account AS MATERIALIZED (
    SELECT account_id AS id FROM webhooks_endpoint WHERE enabled
    UNION SELECT id FROM accounts_account WHERE EXISTS (SELECT FROM webhooks_endpoint WHERE enabled AND all_accounts)
    UNION SELECT 0  -- Everybody's rule.
), budget AS (
    SELECT b.account_id, k.kind, k.used, k.most FROM account a
    JOIN risk_rule r ON r.account_id = a.id
    JOIN risk_budget b ON b.account_id = a.id AND b.day = (now() AT TIME ZONE 'UTC')::date
    CROSS JOIN LATERAL (VALUES ('spend', b.spent, r.max_daily_spend), ('loss', b.lost, r.max_daily_loss)) AS k(kind, used, most)
    WHERE k.used >= k.most
        -- Something is left, and too little for an order that was refused.
        OR k.most IS NOT NULL AND EXISTS (
            SELECT FROM orders_order o WHERE o.account_id = a.id AND o.finished_at >= %(since)s
                AND o.failure_code = CASE k.kind WHEN 'spend' THEN 'SPEND_BUDGET_EXCEEDED' ELSE 'LOSS_BUDGET_EXCEEDED' END)
)
INSERT INTO orders_alert (id, account_id, kind, at, data, once)
SELECT gen_random_uuid(), NULLIF(account_id, 0), 'budget_used_up', now(),
    jsonb_build_object('budget', kind, 'used', trim_scale(used)::text, 'limit', trim_scale(most)::text),
    concat_ws(':', 'budget', kind, account_id, (now() AT TIME ZONE 'UTC')::date)
FROM budget
UNION ALL
SELECT gen_random_uuid(), NULLIF(c.account_id, 0), 'trading_state', c.at,
    jsonb_build_object('state', c.after -> 'state', 'was', c.before -> 'state', 'everybody', c.account_id = 0),
    concat_ws(':', 'state', c.id)
FROM account a CROSS JOIN LATERAL (
    SELECT * FROM risk_change WHERE account_id = a.id AND at >= %(since)s AND after ? 'state' OFFSET 0
) c
ON CONFLICT (once) DO NOTHING
