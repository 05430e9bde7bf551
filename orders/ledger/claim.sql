-- Gives due orders to an executor, in a new epoch; counts an attempt and writes the `routing` event of pending orders.
-- Due is also what lies more than max_ahead_s seconds ahead: no delay is so long, so Postgres' clock was set back meanwhile.
-- An order of another mode than the executor's is left alone: its wallet and its pools are on another chain.
-- What the rules of risk (`risk_rule`: the order's account's, and everybody's, which has the id 0) stop is left alone where it
-- waits for a trigger or belongs to a plan; any other order is taken with the reason in `denied`, for its executor to fail it.
-- Budgets are counted here, under the lock of their row, one order after the other: races cannot pass them.
-- Takes:   ids uuid[] the orders wanted; mode text (EXECUTION_MODE); max_ahead_s float; executor uuid, which must be
--          alive; fired uuid[] and triggers text[] (JSON), of one length: the resting orders whose trigger fired, and what fired them.
--          quotes text[] (mints; the first one is what limits count in); mints text[] and prices numeric[], of one length: what
--          one of it is worth; margin_bps int: what an exact output may cost above its worth, slippage apart. Of the legs of one plan one is taken, if it is any leg's turn: what is submitted before all, then what protects.
-- Returns: one row for each order taken: the columns of orders.ledger.values.Claimed, `event` being the data of the routing
--          event, and those of its unresolved intent, or nulls.
-- Locks:   the rows taken; skips rows that another transaction has locked. Then their plans, in the order of their ids. Then the
--          budgets that they count in, in the order of their accounts.
WITH RECURSIVE rule AS MATERIALIZED (
    -- Most of the time there is none, and everything about risk below costs nothing.
    SELECT * FROM risk_rule
    WHERE account_id = ANY(ARRAY(SELECT 0 UNION SELECT account_id FROM orders_order WHERE id = ANY(%(ids)s::uuid[])))
        AND (state <> 'ACTIVE' OR num_nonnulls(max_notional_per_order, max_daily_spend, max_daily_loss, price_collar_bps,
            allowed_tokens, denied_tokens) > 0)
), wanted AS MATERIALIZED (
    SELECT o.id, o.leg IS NOT NULL AND NOT o.leg = ANY('{entry,slice}') AS exits, reduces.is AS reduces
    FROM orders_order o, LATERAL (SELECT COALESCE(array_position(%(quotes)s::text[], o.token_out)
        < COALESCE(array_position(%(quotes)s::text[], o.token_in), 1000), false) AS is) reduces
    WHERE o.id = ANY(%(ids)s::uuid[]) AND EXISTS (SELECT FROM rule)
), due AS MATERIALIZED (
    SELECT id, account_id, plan_id, status, type, token_in, token_out, amount, limit_price, trail_bps, trigger_condition,
        exact_out, slippage_bps,
        -- Of an exact output the most that may be sold, where a price or a number says so.
        LEAST(amount_in_max, CASE WHEN trigger_condition = 'gte'
            THEN GREATEST(exact_out / limit_price, exact_out * asked_price) ELSE exact_out / worst_price END) AS most_in
    FROM orders_order o
    WHERE id = ANY(%(ids)s::uuid[]) AND COALESCE(mode, 'mock') = %(mode)s
        AND (status = 'pending' AND (run_at <= now() OR run_at > now() + %(max_ahead_s)s * interval '1 second'
                OR resting AND id = ANY(%(fired)s::uuid[]))
            AND (expires_at IS NULL OR expires_at > now())
            OR status = 'submitted' AND executor IS NULL)
        AND NOT (status = 'pending' AND (plan_id IS NOT NULL OR type <> 'market' AND time_in_force IS NULL) AND EXISTS (
            SELECT FROM rule r JOIN wanted w ON w.id = o.id WHERE r.account_id = ANY(ARRAY[0, o.account_id])
                AND (r.state = 'HALTED' OR r.state = 'REDUCING' AND NOT (w.reduces OR w.exits))))
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
), valued AS MATERIALIZED (
    SELECT due.id, due.account_id, due.token_out, due.plan_id, due.exact_out, one.worth, w.reduces, CASE
        WHEN due.exact_out IS NOT NULL AND due.token_out = (%(quotes)s::text[])[1] THEN due.exact_out
        -- Without such a number it counts for its present cost; it does not sell more than it was counted for (`counted_in`).
        WHEN due.exact_out IS NOT NULL AND one.worth IS NOT NULL THEN
            COALESCE(due.most_in * one.worth, due.exact_out * q.price * (10000 + %(margin_bps)s + due.slippage_bps) / 10000)
        WHEN due.exact_out IS NOT NULL THEN NULL
        WHEN due.token_in = (%(quotes)s::text[])[1] THEN due.amount
        WHEN due.token_out = (%(quotes)s::text[])[1] AND due.type = 'limit' AND due.trail_bps IS NULL
            THEN due.amount * due.limit_price
        ELSE due.amount * p.price END AS notional
    FROM due JOIN wanted w USING (id)
        LEFT JOIN unnest(%(mints)s::text[], %(prices)s::numeric[]) AS p(mint, price) ON p.mint = due.token_in
        LEFT JOIN unnest(%(mints)s::text[], %(prices)s::numeric[]) AS q(mint, price) ON q.mint = due.token_out
        CROSS JOIN LATERAL (SELECT CASE WHEN due.token_in = (%(quotes)s::text[])[1] THEN 1 ELSE p.price END AS worth) one
    -- What protects a position goes through.
    WHERE due.status = 'pending' AND NOT w.exits
), refused AS MATERIALIZED (
    SELECT DISTINCT ON (v.id) v.id, c.code, c.allowed, c.value
    FROM valued v JOIN rule r ON r.account_id = ANY(ARRAY[0, v.account_id])
        LEFT JOIN risk_budget b ON b.account_id = r.account_id AND b.day = (now() AT TIME ZONE 'UTC')::date
        CROSS JOIN LATERAL (VALUES
            (1, 'TRADING_HALTED', NULL, NULL, r.state = 'HALTED'),
            (2, 'TRADING_STATE_REDUCING', NULL, NULL, r.state = 'REDUCING' AND NOT v.reduces),
            (3, 'TOKEN_DENIED', NULL, v.token_out, v.token_out = ANY(r.denied_tokens)),
            (4, 'TOKEN_NOT_ALLOWED', NULL, v.token_out,
                NOT v.token_out = ANY(r.allowed_tokens) AND NOT v.token_out = ANY(%(quotes)s::text[])),
            (5, 'NOTIONAL_UNPRICED', NULL, NULL, v.notional IS NULL
                AND (r.max_notional_per_order IS NOT NULL OR r.max_daily_spend IS NOT NULL AND NOT v.reduces)),
            (6, 'NOTIONAL_EXCEEDS_MAX_PER_ORDER', trim_scale(r.max_notional_per_order)::text, trim_scale(v.notional)::text,
                v.notional > r.max_notional_per_order),
            (7, 'LOSS_BUDGET_EXCEEDED', trim_scale(r.max_daily_loss)::text, trim_scale(COALESCE(b.lost, 0))::text,
                NOT v.reduces AND COALESCE(b.lost, 0) >= r.max_daily_loss)
        ) AS c(place, code, allowed, value, holds)
    WHERE c.holds
    ORDER BY v.id, c.place, r.account_id
), spending AS MATERIALIZED (
    SELECT v.*, row_number() OVER (ORDER BY v.id) AS n FROM valued v
    WHERE NOT v.reduces AND (v.plan_id IS NULL OR v.id IN (SELECT id FROM turn)) AND NOT EXISTS (SELECT FROM refused r WHERE r.id = v.id)
        AND EXISTS (SELECT FROM rule r WHERE r.account_id = ANY(ARRAY[0, v.account_id]) AND r.max_daily_spend IS NOT NULL)
        -- An order that is tried again has been counted.
        AND NOT EXISTS (SELECT FROM risk_spend s WHERE s.order_id = v.id)
), budget AS MATERIALIZED (
    SELECT b.account_id, b.day, b.spent FROM risk_budget b
    WHERE b.account_id = ANY(ARRAY(SELECT account_id FROM rule WHERE max_daily_spend IS NOT NULL)) AND EXISTS (SELECT FROM spending)
    ORDER BY b.account_id FOR UPDATE
), walk AS (
    -- One order after the other takes what is left: a large one that is too much leaves it to a smaller one.
    SELECT 0::bigint AS n, NULL::uuid AS id, true AS fits, NULL::numeric AS allowed, NULL::numeric AS value, (
        SELECT jsonb_object_agg(b.account_id, CASE WHEN b.day = (now() AT TIME ZONE 'UTC')::date THEN b.spent ELSE 0 END)
        FROM budget b) AS spent
    UNION ALL
    SELECT s.n, s.id, short.allowed IS NULL, short.allowed, short.value, CASE WHEN short.allowed IS NOT NULL THEN w.spent ELSE
        w.spent || COALESCE((SELECT jsonb_object_agg(e.key, e.value::numeric + s.notional) FROM jsonb_each_text(w.spent) e
            WHERE e.key = ANY(ARRAY['0', s.account_id::text])), '{}') END
    FROM walk w JOIN spending s ON s.n = w.n + 1
        LEFT JOIN LATERAL (
            SELECT r.max_daily_spend AS allowed, (w.spent ->> r.account_id::text)::numeric + s.notional AS value FROM rule r
            WHERE r.account_id = ANY(ARRAY[0, s.account_id])
                AND (w.spent ->> r.account_id::text)::numeric + s.notional > r.max_daily_spend
            ORDER BY r.account_id LIMIT 1) short ON true
), denied AS (
    SELECT id, code, allowed, value FROM refused
    UNION ALL
    SELECT id, 'SPEND_BUDGET_EXCEEDED', trim_scale(allowed)::text, trim_scale(value)::text FROM walk WHERE NOT fits
), paid AS (
    INSERT INTO risk_spend (order_id, account_id, amount, day, of_account, of_everybody)
    SELECT s.id, s.account_id, s.notional, (now() AT TIME ZONE 'UTC')::date,
        EXISTS (SELECT FROM budget b WHERE b.account_id = s.account_id), EXISTS (SELECT FROM budget b WHERE b.account_id = 0)
    FROM walk w JOIN spending s USING (id) WHERE w.fits
), counted AS (
    UPDATE risk_budget b SET day = (now() AT TIME ZONE 'UTC')::date, spent = (w.spent ->> b.account_id::text)::numeric,
        lost = CASE WHEN b.day = (now() AT TIME ZONE 'UTC')::date THEN b.lost ELSE 0 END,
        unpriced = CASE WHEN b.day = (now() AT TIME ZONE 'UTC')::date THEN b.unpriced END
    FROM (SELECT spent FROM walk ORDER BY n DESC LIMIT 1) w, budget
    WHERE b.account_id = budget.account_id
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
SELECT c.id, c.account_id, c.epoch, c.seq, c.status, c.attempts, c.type, c.token_in, c.token_out, c.amount, c.percent,
    c.exact_out, c.amount_in_max, c.slippage_bps,
    c.limit_price, c.asked_price, c.trigger_condition, c.trail_bps, c.worst_price, c.time_in_force, c.max_price_impact_bps, c.max_fee_lamports, c.gates, c.gates_since, c.wallet, c.request_id,
    c.venue, now() AS at, c.event,
    (SELECT jsonb_strip_nulls(jsonb_build_object('code', d.code, 'limit', d.allowed, 'value', d.value))
        FROM denied d WHERE d.id = c.id) AS denied,
    -- Of an exact output: what of tokenIn its limits of money have counted; of one that is tried again, what they counted first.
    CASE WHEN c.exact_out IS NOT NULL THEN
        (SELECT LEAST(v.notional, (SELECT s.amount FROM risk_spend s WHERE s.order_id = v.id)) / v.worth
        FROM valued v WHERE v.id = c.id AND v.token_out <> (%(quotes)s::text[])[1]
            AND EXISTS (SELECT FROM rule r WHERE r.account_id = ANY(ARRAY[0, c.account_id])
                AND num_nonnulls(r.max_notional_per_order, r.max_daily_spend) > 0)) END AS counted_in,
    (SELECT min(r.price_collar_bps) FROM rule r JOIN wanted w ON w.id = c.id AND NOT w.exits
        WHERE r.account_id = ANY(ARRAY[0, c.account_id])) AS collar_bps,
    CASE WHEN c.attempts > 1 THEN
        (SELECT count(*) FROM orders_transaction x WHERE x.order_id = c.id AND x.resolution = 'expired') ELSE 0 END AS expired,
    t.signature, t.attempt, t.venue AS swap_venue, t.wallet AS swap_wallet, t.payload, t.min_out, t.valid_until,
    COALESCE(t.validity, (extract(epoch FROM t.valid_until) * 1000000)::bigint) AS validity
-- LIMIT makes it one look-up an order: a plan made while there were few intents read all that were open for each.
FROM taken c LEFT JOIN LATERAL (
    SELECT * FROM orders_transaction WHERE order_id = c.id AND resolution IS NULL LIMIT 1
) t ON true
