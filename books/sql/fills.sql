-- An account's fills: what its confirmed orders traded, once each; those of orders that retention has purged included.
-- Takes:   account; since, until (timestamptz): fills of then or later, and before; mode, venue, token and pair, each null where it
--          is not asked for: tokens and pairs as arrays of what rows may call them (`orders.mints.stored_as`); cursor (uuid or null): the
--          order whose fill ended the page before, and at (timestamptz or null): that fill's time, where it is known; newest (boolean): the newest first.
-- Returns: the columns of `books.fills.Fill`. `at` is when the ledger recorded it: the time of the event `confirmed`.
-- Locks:   nothing.
WITH fill AS NOT MATERIALIZED (
    SELECT id, account_id, seq, finished_at AS at, type, client_order_id, token_in, token_out,
        COALESCE(amount_in, amount, amount_out / executed_price) AS amount_in, amount_out, executed_price, venue, fee, fees, parts, tx_hash, slot, wallet, COALESCE(mode, 'mock') AS mode, plan_id, leg
    FROM orders_order
    WHERE account_id = %(account)s AND status = 'confirmed' AND finished_at >= %(since)s AND finished_at < %(until)s
    UNION ALL
    SELECT id, account_id, seq, at, type, client_order_id, token_in, token_out, amount_in, amount_out, executed_price, venue, fee, fees,
        parts, tx_hash, slot, wallet, mode, plan_id, leg
    FROM orders_keptfill
    WHERE account_id = %(account)s AND at >= %(since)s AND at < %(until)s
), before AS (
    SELECT COALESCE(%(at)s::timestamptz, (SELECT finished_at FROM orders_order WHERE id = %(cursor)s::uuid AND account_id = %(account)s),
        (SELECT at FROM orders_keptfill WHERE id = %(cursor)s::uuid AND account_id = %(account)s)) AS at
)
SELECT id, seq, at, type, client_order_id, token_in, token_out, amount_in, amount_out, executed_price, venue, fee, fees::text, parts::text, tx_hash,
    slot, wallet, mode, plan_id, leg
FROM fill
WHERE (%(mode)s::text IS NULL OR mode = %(mode)s)
    AND (%(venue)s::text IS NULL OR venue = %(venue)s)
    AND (%(token)s::text[] IS NULL OR token_in = ANY(%(token)s) OR token_out = ANY(%(token)s))
    AND (%(sold)s::text[] IS NULL OR token_in = ANY(%(sold)s) AND token_out = ANY(%(bought)s))
    AND (%(cursor)s::uuid IS NULL
        OR %(newest)s AND (at, id) < ((SELECT at FROM before), %(cursor)s::uuid)
        OR NOT %(newest)s AND (at, id) > ((SELECT at FROM before), %(cursor)s::uuid))
