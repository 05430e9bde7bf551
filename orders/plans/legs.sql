-- Reads the orders of plans.
-- Takes:   ids uuid[] of plans.
-- Returns: the columns that decisions are made from and those that say where an order rests, the rounds of a leg in their order.
-- Locks:   nothing.
SELECT o.id, o.plan_id, o.account_id, o.leg, o.round, o.status, o.resting, o.seq, o.epoch, COALESCE(o.amount, o.amount_in, 0) AS amount, o.slippage_bps, o.amount_out,
    o.failure_code, o.created_at, o.finished_at, o.run_at, o.type, o.token_in, o.token_out, o.limit_price, o.trigger_condition,
    o.trigger_kind, o.min_liquidity, o.volume_factor, o.launched_before, o.trail_bps, o.activation_price,
    GREATEST(o.trail_high, CASE WHEN o.trail_bps IS NOT NULL AND o.resting THEN (
        SELECT max(h.high) FROM orders_pairhigh h
        WHERE h.pair = o.token_in || '-' || o.token_out AND h.at >= o.created_at) END) AS trail_high,
    CASE WHEN o.leg <> ALL('{entry,slice}') THEN
        (SELECT count(*) FROM orders_transaction t WHERE t.order_id = o.id AND t.resolution = 'reverted') ELSE 0
    END::int AS reverted
FROM orders_order o
WHERE o.plan_id = ANY(%(ids)s::uuid[])
ORDER BY o.plan_id, o.leg, o.round
