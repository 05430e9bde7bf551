-- Reads all rules, with what was spent and lost today.
-- Returns: the columns of risk_rule that `risk.rules` makes a Rule of, in its order.
-- Locks:   nothing.
SELECT r.account_id, r.state, r.max_notional_per_order, r.max_open_orders, r.max_orders_per_minute, r.max_daily_spend, r.max_daily_loss,
    r.price_collar_bps, r.allowed_tokens, r.denied_tokens, r.gates, COALESCE(b.spent, 0), COALESCE(b.lost, 0)
FROM risk_rule r LEFT JOIN risk_budget b ON b.account_id = r.account_id AND b.day = (now() AT TIME ZONE 'UTC')::date
