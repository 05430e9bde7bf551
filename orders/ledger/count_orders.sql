-- Counts orders for the rules that limit how many there may be. Nothing is counted beyond a limit.
-- Takes:   accounts bigint[], everybody's 0 among them; since uuid, below the ids of the last minute.
-- Returns: (account_id, max_open_orders, open, max_orders_per_minute, made).
-- Locks:   nothing.
SELECT r.account_id, r.max_open_orders,
    CASE WHEN r.max_open_orders IS NULL THEN 0 WHEN r.account_id = 0 THEN
        (SELECT count(*) FROM (SELECT FROM orders_order WHERE finished_at IS NULL LIMIT r.max_open_orders) x)
    ELSE
        (SELECT count(*) FROM (SELECT FROM orders_order WHERE account_id = r.account_id AND finished_at IS NULL
            LIMIT r.max_open_orders) x)
    END,
    r.max_orders_per_minute,
    CASE WHEN r.max_orders_per_minute IS NULL THEN 0 WHEN r.account_id = 0 THEN
        (SELECT count(*) FROM (SELECT FROM orders_order WHERE id >= %(since)s LIMIT r.max_orders_per_minute) x)
    ELSE
        (SELECT count(*) FROM (SELECT FROM orders_order WHERE account_id = r.account_id AND id >= %(since)s
            LIMIT r.max_orders_per_minute) x)
    END
FROM risk_rule r
WHERE r.account_id = ANY(%(accounts)s::bigint[]) AND num_nonnulls(r.max_open_orders, r.max_orders_per_minute) > 0
ORDER BY r.account_id
