-- The intents of a wallet whose outcome the ledger does not know yet.
-- Takes:   wallet text.
-- Returns: (order_id, signature, attempt, venue, payload, min_out, valid_until, validity).
-- Locks:   nothing.
SELECT t.order_id, t.signature, t.attempt, t.venue, t.payload, t.min_out, t.valid_until, t.validity
FROM orders_reservation r JOIN orders_transaction t ON t.order_id = r.order_id
WHERE r.wallet = %(wallet)s AND t.resolution IS NULL
