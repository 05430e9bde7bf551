-- Gives due orders to an executor, in a new epoch; counts an attempt and writes the `routing` event of pending orders.
-- Due is also what lies more than max_ahead_s seconds ahead: no delay is so long, so Postgres' clock was set back meanwhile.
-- An order of another mode than the executor's is left alone: its wallet and its pools are on another chain.
-- Takes:   ids uuid[] the orders wanted; mode text (EXECUTION_MODE); max_ahead_s float; executor uuid, which must be
--          alive; fired uuid[] and triggers text[] (JSON), of one length: the resting orders whose trigger fired, and what fired them.
--          Of the legs of one plan one is taken, if it is any leg's turn: what is submitted before all, then what protects.
-- Returns: one row for each order taken: the columns of orders.ledger.values.Claimed, `event` being the data of the routing
--          event, and those of its unresolved intent, or nulls.
-- Locks:   the rows taken; skips rows that another transaction has locked. Then their plans, in the order of their ids.
WITH due AS MATERIALIZED (
    SELECT id, plan_id, status, trigger_condition FROM orders_order
    WHERE id = ANY(%(ids)s::uuid[]) AND COALESCE(mode, 'mock') = %(mode)s
        AND (status = 'pending' AND (run_at <= now() OR run_at > now() + %(max_ahead_s)s * interval '1 second'
                OR resting AND id = ANY(%(fired)s::uuid[]))
            AND (expires_at IS NULL OR expires_at > now())
            OR status = 'submitted' AND executor IS NULL)
        AND EXISTS (SELECT 1 FROM orders_executor WHERE id = %(executor)s AND state = 'alive')
    ORDER BY id FOR UPDATE SKIP LOCKED
), plan AS MATERIALIZED (
    SELECT id FROM orders_plan WHERE id = ANY(ARRAY(SELECT plan_id FROM due WHERE plan_id IS NOT NULL))
    ORDER BY id FOR UPDATE
), turn AS (
    UPDATE orders_plan p SET holder = leg.id
    FROM (
        SELECT DISTINCT ON (due.plan_id) due.plan_id, due.id FROM due JOIN plan ON plan.id = due.plan_id
        -- An order that waits for the price to rise takes profit: a stop, or a close at the market, comes first.
        ORDER BY due.plan_id, due.status = 'pending', due.trigger_condition IS NOT DISTINCT FROM 'gte', due.id
    ) leg
    WHERE p.id = leg.plan_id AND (p.holder IS NULL OR p.holder = leg.id)
        AND (p.status = 'active' OR p.finished_at IS NULL AND p.holder = leg.id)
    RETURNING leg.id
), claimed AS (
    UPDATE orders_order o SET
        status = CASE o.status WHEN 'pending' THEN 'routing' ELSE o.status END,
        seq = o.seq + (o.status = 'pending')::int,
        attempts = o.attempts + (o.status = 'pending')::int,
        -- What a trailing stop has followed says at which price it fires.
        trail_high = CASE WHEN o.trail_bps IS NULL THEN NULL ELSE COALESCE((
            SELECT (f.trigger ->> 'high')::numeric FROM unnest(%(fired)s::uuid[], %(triggers)s::text[]::jsonb[]) AS f(id, trigger)
            WHERE f.id = o.id), o.trail_high) END,
        limit_price = CASE WHEN o.trail_bps IS NULL THEN o.limit_price ELSE COALESCE((
            SELECT trunc((f.trigger ->> 'high')::numeric * (10000 - o.trail_bps) / 10000, 18)
            FROM unnest(%(fired)s::uuid[], %(triggers)s::text[]::jsonb[]) AS f(id, trigger) WHERE f.id = o.id), o.limit_price) END,
        epoch = o.epoch + 1, executor = %(executor)s, resting = false, run_at = COALESCE(o.run_at, now()), updated_at = now()
    FROM due WHERE o.id = due.id AND (due.plan_id IS NULL OR due.id IN (SELECT id FROM turn))
    RETURNING o.*
), taken AS (
    SELECT c.*, CASE c.status WHEN 'routing' THEN
        jsonb_strip_nulls(jsonb_build_object('attempt', c.attempts, 'trigger', f.trigger || jsonb_build_object(
            'limit', trim_scale(c.limit_price)::text,
            'lagMs', round(extract(epoch FROM now() - (f.trigger ->> 'observedAt')::timestamptz) * 1000))))
        END AS event
    FROM claimed c LEFT JOIN unnest(%(fired)s::uuid[], %(triggers)s::text[]::jsonb[]) AS f(id, trigger) ON f.id = c.id
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
    SELECT id, seq, epoch, status, now(), event FROM taken WHERE event IS NOT NULL
)
SELECT c.id, c.account_id, c.epoch, c.seq, c.status, c.attempts, c.type, c.token_in, c.token_out, c.amount, c.percent, c.slippage_bps,
    c.limit_price, c.asked_price, c.trigger_condition, c.trail_bps, c.worst_price, c.time_in_force, c.max_price_impact_bps, c.max_fee_lamports, c.wallet, c.request_id,
    c.venue, now() AS at, c.event,
    t.signature, t.attempt, t.venue AS swap_venue, t.wallet AS swap_wallet, t.payload, t.min_out, t.valid_until,
    COALESCE(t.validity, (extract(epoch FROM t.valid_until) * 1000000)::bigint) AS validity
-- LIMIT makes it one look-up an order: a plan made while there were few intents read all that were open for each.
FROM taken c LEFT JOIN LATERAL (
    SELECT * FROM orders_transaction WHERE order_id = c.id AND resolution IS NULL LIMIT 1
) t ON true
