-- Notes what accounts with a limit of daily loss have lost today: for each token that was bought and sold today, for the currency
-- of limits, what was sold of what was bought, at the average prices of the day. Gains of one token make up for losses of another.
-- Takes:   currency text (mint).
-- Returns: nothing.
-- Locks:   the budgets that change, in the order of their accounts.
WITH today AS (
    SELECT (now() AT TIME ZONE 'UTC')::date AS day, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS began
), trade AS (
    SELECT o.account_id, CASE WHEN o.token_in = %(currency)s THEN o.token_out ELSE o.token_in END AS token,
        CASE WHEN o.token_in = %(currency)s THEN o.amount_out END AS bought,
        CASE WHEN o.token_in = %(currency)s THEN COALESCE(o.amount_in, o.amount) END AS cost,
        CASE WHEN o.token_out = %(currency)s THEN COALESCE(o.amount_in, o.amount) END AS sold,
        CASE WHEN o.token_out = %(currency)s THEN o.amount_out END AS proceeds
    FROM risk_rule r JOIN orders_order o ON o.account_id = r.account_id AND o.finished_at >= (SELECT began FROM today)
    WHERE r.max_daily_loss IS NOT NULL AND o.status = 'confirmed' AND %(currency)s IN (o.token_in, o.token_out)
), closed AS (
    SELECT account_id, LEAST(sum(bought), sum(sold)) * (sum(proceeds) / sum(sold) - sum(cost) / sum(bought)) AS gained
    FROM trade GROUP BY account_id, token HAVING sum(bought) > 0 AND sum(sold) > 0
), lost AS (
    SELECT account_id, round(GREATEST(0, -sum(gained)), 18) AS amount FROM closed GROUP BY account_id
), budget AS MATERIALIZED (
    SELECT b.account_id, l.amount FROM risk_budget b JOIN lost l USING (account_id), today
    WHERE b.day <> today.day OR b.lost <> l.amount
    ORDER BY b.account_id FOR UPDATE OF b
)
UPDATE risk_budget b SET day = today.day, lost = budget.amount, spent = CASE WHEN b.day = today.day THEN b.spent ELSE 0 END
FROM budget, today WHERE b.account_id = budget.account_id
