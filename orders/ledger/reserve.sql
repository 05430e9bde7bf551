-- Reserves for orders that are being routed, and notes the slot of the balances that it was decided by.
-- Takes:   ids uuid[], epochs int[], of_wallets text[], mints text[], units numeric[], lamports bigint[], of one length: what is
--          granted; wallets text[] and slots bigint[], of one length: the balances.
-- Returns: nothing. An order that has another owner meanwhile gets none: whoever owns it asks for itself.
-- Locks:   the wallets' rows, which the transaction has locked before, and the reservations.
WITH noted AS (
    UPDATE wallets_wallet w SET balance_slot = x.slot
    FROM unnest(%(wallets)s::text[], %(slots)s::bigint[]) AS x(wallet, slot)
    WHERE w.address = x.wallet AND w.balance_slot < x.slot
)
INSERT INTO orders_reservation (order_id, wallet, mint, units, lamports)
SELECT o.id, x.wallet, x.mint, x.units, x.lamports
FROM unnest(%(ids)s::uuid[], %(epochs)s::int[], %(of_wallets)s::text[], %(mints)s::text[], %(units)s::numeric[],
        %(lamports)s::bigint[]) AS x(id, epoch, wallet, mint, units, lamports)
JOIN orders_order o ON o.id = x.id AND o.epoch = x.epoch AND o.status = 'routing'
ON CONFLICT (order_id) DO UPDATE SET wallet = excluded.wallet, mint = excluded.mint, units = excluded.units,
    lamports = excluded.lamports
