-- Finds which of our changes are in the ledger.
-- Takes:   id uuid[], seq int[], epoch int[], status text[], data text[] (JSON); arrays of one length, one place a change.
-- Returns: (order_id, seq, at, and the columns of orders.ledger.values.Recorded) of each event that equals ours in all of
--          them.
-- Locks:   nothing.
SELECT e.order_id, e.seq, e.at, o.type, o.token_in, o.token_out, o.limit_price, o.trigger_condition, o.trigger_kind,
    o.min_liquidity, o.volume_factor, o.launched_before, o.plan_id, o.trail_bps, o.activation_price, o.trail_high
FROM orders_orderevent e
JOIN unnest(%(id)s::uuid[], %(seq)s::int[], %(epoch)s::int[], %(status)s::text[], %(data)s::text[]::jsonb[])
        AS x(id, seq, epoch, status, data)
    ON e.order_id = x.id AND e.seq = x.seq AND e.epoch = x.epoch AND e.status = x.status AND e.data = x.data
JOIN orders_order o ON o.id = e.order_id
