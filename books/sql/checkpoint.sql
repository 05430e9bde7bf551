-- The newest checkpoint of an account's books before a time. One of a time that has not come is of a clock that was set back
-- since: new fills may belong before it.
-- Takes:   account bigint, mode text, before timestamptz.
-- Returns: the columns of `books.checkpoints.Checkpoint`, or nothing.
-- Locks:   nothing.
SELECT at, order_id, fills, positions::text
FROM books_checkpoint
WHERE account_id = %(account)s AND mode = %(mode)s AND at < least(%(before)s, now())
ORDER BY at DESC, fills DESC LIMIT 1
