-- One page of an account's orders that have ended since a time, by when they ended.
-- Takes:   account (its id); since timestamptz, after uuid: where the page before ended; page: orders at most.
-- Returns: id, seq, finished_at. No row: there is no more.
-- Locks:   nothing. Reads the index order_finished.
SELECT id, seq, finished_at FROM orders_order
WHERE account_id = %(account)s AND finished_at >= %(since)s AND (finished_at, id) > (%(since)s, %(after)s)
ORDER BY finished_at, id LIMIT %(page)s
