-- Writes events, each fenced by its order's epoch, seq and status; the events of one order are written together or not at all.
-- Takes:   changes  jsonb array of objects (orders.ledger.statements._Row). Events of one order follow each other. The last
--          one of an order has `first` and `was`: seq and status before its first one; it is the one that the row gets.
-- Returns: (id, now(), and the columns of orders.ledger.values.Recorded) of each order that was written. Orders that another
--          writer has changed meanwhile are left out.
-- Locks:   the rows written; waits for another writer of the same rows. Then the plans of those that end, or wait again, in the
--          order of their ids. Then the budgets that get money back, in the order of their accounts.
-- An intent is not written while trading is halted: from then on nothing is sent that was not committed before.
WITH change AS MATERIALIZED (
    SELECT *, status = ANY('{confirmed,failed,cancelled,expired}') AS final
    FROM jsonb_to_recordset(%(changes)s::jsonb) AS t(
        id uuid, epoch int, seq int, first int, was text, status text, data jsonb, delay_ms int, resting boolean,
        attempts text, new_epoch boolean, letter text, intent jsonb, resolved jsonb,
        gates_unknown boolean)
), written AS (
    UPDATE orders_order o SET
        status = c.status, seq = c.seq, resting = c.resting, updated_at = now(),
        epoch = o.epoch + c.new_epoch::int,
        executor = CASE WHEN c.status = 'pending' THEN NULL ELSE o.executor END,
        attempts = CASE c.attempts WHEN 'reset' THEN 0 WHEN 'refund' THEN o.attempts - 1 ELSE o.attempts END,
        run_at = CASE WHEN c.final OR c.resting THEN NULL
            WHEN c.delay_ms IS NOT NULL THEN now() + c.delay_ms * interval '1 millisecond' ELSE o.run_at END,
        finished_at = CASE WHEN c.final THEN now() END,
        amount = COALESCE((c.data -> 'amended' ->> 'amount')::numeric, o.amount),
        exact_out = COALESCE((c.data -> 'amended' ->> 'exactOut')::numeric, o.exact_out),
        amount_in_max = COALESCE((c.data -> 'amended' ->> 'amountInMax')::numeric, o.amount_in_max),
        -- A trailing stop that has fired before shows the price at which it would fire by the high it had followed.
        limit_price = CASE WHEN c.data -> 'amended' ->> 'trailBps' IS NOT NULL AND o.trail_high IS NOT NULL
            THEN trunc(o.trail_high * (10000 - (c.data -> 'amended' ->> 'trailBps')::int) / 10000, 18)
            ELSE COALESCE((c.data -> 'amended' ->> 'limitPrice')::numeric, o.limit_price) END,
        trail_bps = COALESCE((c.data -> 'amended' ->> 'trailBps')::int, o.trail_bps),
        asked_price = CASE WHEN c.data -> 'amended' ->> 'limitPrice' IS NOT NULL
            THEN (c.data -> 'amended' ->> 'askedPrice')::numeric ELSE o.asked_price END,
        trigger_condition = COALESCE(c.data -> 'amended' ->> 'triggerCondition', o.trigger_condition),
        slippage_bps = COALESCE((c.data -> 'amended' ->> 'slippageBps')::int, o.slippage_bps),
        expires_at = CASE WHEN c.data -> 'amended' ? 'expiresAt'
            THEN (c.data -> 'amended' ->> 'expiresAt')::timestamptz ELSE o.expires_at END,
        gates_since = CASE WHEN c.new_epoch THEN NULL
            WHEN c.gates_unknown THEN COALESCE(o.gates_since, now()) ELSE o.gates_since END,
        venue = COALESCE(c.data ->> 'venue', o.venue),
        executed_price = (c.data ->> 'executedPrice')::numeric, amount_out = (c.data ->> 'amountOut')::numeric,
        amount_in = (c.data ->> 'amountIn')::numeric,
        fee = (c.data ->> 'fee')::numeric, tx_hash = c.data ->> 'txHash',
        slot = (c.data ->> 'slot')::bigint, fees = c.data -> 'fees',
        parts = CASE WHEN c.status = 'confirmed' THEN c.data -> 'parts' END,
        failure_code = CASE WHEN c.status = 'failed' THEN c.data -> 'error' ->> 'code' END,
        failure_message = CASE WHEN c.status = 'failed' THEN c.data -> 'error' ->> 'message' END
    FROM change c
    -- The array makes it a look-up by key: a plan that was made while there were few orders read them all.
    WHERE o.id = ANY(ARRAY(SELECT id FROM change))
        AND c.first IS NOT NULL AND o.id = c.id AND o.epoch = c.epoch AND o.seq = c.first - 1 AND o.status = c.was
        AND (c.intent IS NULL OR NOT EXISTS (
            SELECT FROM risk_rule r WHERE r.account_id = ANY(ARRAY[0, o.account_id]) AND r.state = 'HALTED'))
    RETURNING o.id, c.epoch, c.letter, c.data, o.type, o.token_in, o.token_out, o.limit_price, o.trigger_condition,
        o.trigger_kind, o.min_liquidity, o.volume_factor, o.launched_before, o.plan_id, o.trail_bps, o.activation_price,
        o.trail_high, o.status, c.resting
), plan AS MATERIALIZED (
    -- Whatever ended a leg's turn makes the plan's own step the next.
    SELECT id FROM orders_plan
    WHERE id = ANY(ARRAY(SELECT plan_id FROM written WHERE plan_id IS NOT NULL
        AND status = ANY('{pending,confirmed,failed,cancelled,expired}')))
    ORDER BY id FOR UPDATE
), due AS (
    UPDATE orders_plan p SET holder = p.id FROM plan, written w
    WHERE p.id = plan.id AND w.plan_id = p.id AND (p.holder IS NULL OR p.holder = w.id)
), returned AS (
    -- Nothing of it landed, so it has spent nothing.
    DELETE FROM risk_spend s USING written w
    WHERE s.order_id = w.id AND (w.resting OR w.status = ANY('{failed,cancelled,expired}'))
    RETURNING s.*
), part AS MATERIALIZED (
    SELECT account_id, day, sum(amount) AS amount FROM (
        SELECT account_id, day, amount FROM returned WHERE of_account
        UNION ALL SELECT 0, day, amount FROM returned WHERE of_everybody) x
    GROUP BY account_id, day
), budget AS MATERIALIZED (
    SELECT account_id FROM risk_budget WHERE account_id = ANY(ARRAY(SELECT account_id FROM part)) ORDER BY account_id FOR UPDATE
), given_back AS (
    UPDATE risk_budget b SET spent = GREATEST(0, b.spent - part.amount) FROM part, budget
    WHERE b.account_id = budget.account_id AND part.account_id = b.account_id AND part.day = b.day
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
    SELECT c.id, c.seq, c.epoch, c.status, now(), c.data FROM change c JOIN written USING (id)
), intent AS (
    INSERT INTO orders_transaction (signature, order_id, epoch, attempt, venue, wallet, payload, amount_in, min_out, valid_until,
        validity, created_at)
    SELECT i.signature, c.id, c.epoch, i.attempt, i.venue, i.wallet, decode(i.payload, 'base64'),
        COALESCE((c.data ->> 'amountIn')::numeric, (c.data ->> 'maxIn')::numeric), i.min_out, i.valid_until,
        i.validity, now()
    FROM change c JOIN written USING (id), jsonb_to_record(c.intent) AS i(
        signature text, attempt int, venue text, wallet text, payload text, min_out numeric, valid_until timestamptz, validity bigint)
    WHERE c.intent IS NOT NULL
), resolved AS (
    UPDATE orders_transaction t SET resolution = c.resolved ->> 1, resolved_at = now()
    FROM change c JOIN written USING (id)
    WHERE c.resolved IS NOT NULL AND t.signature = c.resolved ->> 0 AND t.resolution IS NULL
), dead AS (
    INSERT INTO orders_deadletter (order_id, epoch, reason, history, created_at)
    SELECT w.id, w.epoch, w.data -> 'error' ->> 'code', COALESCE(
        (SELECT jsonb_agg(h.data -> 'error' || jsonb_build_object('at', h.at) ORDER BY h.seq)
            FROM orders_orderevent h WHERE h.order_id = w.id AND h.data ? 'error'), '[]')
        || jsonb_build_array(w.data -> 'error' || jsonb_build_object('at', now())), now()
    FROM written w WHERE w.letter = 'open'
), revived AS (
    UPDATE orders_deadletter d SET resolved_at = now(), resolved_by = w.data -> 'requeued' ->> 'by'
    FROM written w WHERE w.letter = 'resolve' AND d.order_id = w.id AND d.resolved_at IS NULL
)
SELECT id, now(), type, token_in, token_out, limit_price, trigger_condition, trigger_kind, min_liquidity, volume_factor,
    launched_before, plan_id, trail_bps, activation_price, trail_high
FROM written
