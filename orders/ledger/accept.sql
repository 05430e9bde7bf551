-- Inserts new orders with their event 1.
-- Takes:   orders  jsonb array of objects whose keys are the columns; request_hash is base64.
-- Returns: (id, created_at) of each order that was inserted. An order whose id, client_order_id or idempotency_key is taken
--          is left out.
-- Locks:   the inserted rows. Waits for another transaction that is inserting the same key.
WITH wanted AS (
    SELECT id, account_id, client_order_id, idempotency_key, decode(request_hash, 'base64') AS request_hash, type, token_in,
        token_out, amount, percent, exact_out, amount_in_max, slippage_bps, limit_price, asked_price, trigger_condition, trigger_kind, min_liquidity, volume_factor,
        launched_before, max_price_impact_bps, max_fee_lamports, mode, wallet, expires_at, resting, request_id, plan_id, leg, round,
        trail_bps, activation_price, trail_high, worst_price, time_in_force, gates
    FROM jsonb_to_recordset(%(orders)s::jsonb) AS t(
        id uuid, account_id bigint, client_order_id text, idempotency_key text, request_hash text, type text, token_in text,
        token_out text, amount numeric, percent smallint, exact_out numeric, amount_in_max numeric, slippage_bps int, limit_price numeric, asked_price numeric, trigger_condition text, trigger_kind text,
        min_liquidity numeric, volume_factor numeric, launched_before boolean, max_price_impact_bps int,
        max_fee_lamports bigint, mode text, wallet text, expires_at timestamptz, resting boolean, request_id text,
        plan_id uuid, leg text, round int, trail_bps int, activation_price numeric, trail_high numeric, worst_price numeric, time_in_force text, gates jsonb)
), accepted AS (
    INSERT INTO orders_order (
        id, account_id, client_order_id, idempotency_key, request_hash, type, token_in, token_out, amount, percent, exact_out, amount_in_max, slippage_bps,
        limit_price, asked_price, trigger_condition, trigger_kind, min_liquidity, volume_factor, launched_before, max_price_impact_bps,
        max_fee_lamports, mode, wallet, expires_at, resting, request_id, plan_id, leg, round,
        trail_bps, activation_price, trail_high, worst_price, time_in_force, gates, status, seq, epoch, attempts, run_at,
        created_at, updated_at)
    SELECT id, account_id, client_order_id, idempotency_key, request_hash, type, token_in, token_out, amount, percent, exact_out, amount_in_max, slippage_bps,
        limit_price, asked_price, trigger_condition, trigger_kind, min_liquidity, volume_factor, launched_before, max_price_impact_bps,
        max_fee_lamports, mode,
        -- Who made it for a plan names none: that of the plan's first order, else the account's default one.
        CASE WHEN wallet IS NOT NULL OR COALESCE(mode, 'mock') = 'mock' THEN wallet ELSE COALESCE(
            (SELECT o.wallet FROM orders_order o WHERE o.plan_id = wanted.plan_id ORDER BY o.id LIMIT 1),
            (SELECT w.address FROM wallets_wallet w
                WHERE w.account_id = wanted.account_id AND w.mode = wanted.mode AND w.is_default ORDER BY w.id DESC LIMIT 1))
        END,
        expires_at, resting, request_id, plan_id, leg, round,
        trail_bps, activation_price, trail_high, worst_price, time_in_force, gates, 'pending', 1, 0, 0,
        CASE WHEN NOT resting THEN now() END, now(), now()
    FROM wanted
    ON CONFLICT DO NOTHING
    RETURNING id, resting, request_id, created_at
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
    -- The JSON of orders.events.AcceptData.
    SELECT id, 1, 0, 'pending', created_at, CASE
        WHEN request_id IS NOT NULL THEN
            jsonb_strip_nulls(jsonb_build_object('resting', CASE WHEN resting THEN true END, 'requestId', request_id))
        WHEN resting THEN '{"resting": true}'::jsonb ELSE '{}' END
    FROM accepted
)
SELECT id, created_at FROM accepted
