-- What orders in work may still spend of wallets that `lock_wallets.sql` has locked in an earlier statement of the transaction:
-- a statement that waits for a lock has read the table before it waited.
-- Takes:   wallets text[] and slots bigint[] (of the balances that are looked at), of one length; not_counted uuid[]: the orders
--          that ask now, and those that the chain says have landed by that slot.
-- Returns: (wallet, mint, units, lamports, unsure_units, unsure_lamports), sums. Unsure are those whose transaction was signed:
--          it may have landed by now, and then its spending is in the balance already.
-- Locks:   the reservations that it clears away: of orders that have ended, unless they landed after the balance was looked at.
WITH held AS MATERIALIZED (
    SELECT r.*, o.status,
        o.status IN ('routing', 'building', 'submitted') OR o.status = 'confirmed' AND o.slot > w.slot AS counts
    FROM unnest(%(wallets)s::text[], %(slots)s::bigint[]) AS w(wallet, slot)
    JOIN orders_reservation r ON r.wallet = w.wallet
    JOIN orders_order o ON o.id = r.order_id
), cleared AS (
    DELETE FROM orders_reservation r USING held h WHERE r.order_id = h.order_id AND h.counts IS NOT TRUE
)
SELECT wallet, mint, sum(units), sum(lamports)::bigint,
    COALESCE(sum(units) FILTER (WHERE status = 'submitted'), 0),
    COALESCE(sum(lamports) FILTER (WHERE status = 'submitted'), 0)::bigint
FROM held WHERE counts AND NOT order_id = ANY(%(not_counted)s::uuid[])
GROUP BY wallet, mint
