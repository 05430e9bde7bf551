-- Writes a checkpoint of an account's books, unless there is one of so many fills.
-- Takes:   account bigint, mode text; at timestamptz and order_id uuid of the last fill in it; fills bigint; positions text (JSON).
-- Returns: nothing.
-- Locks:   the row inserted.
INSERT INTO books_checkpoint (account_id, mode, at, order_id, fills, positions)
VALUES (%(account)s, %(mode)s, %(at)s, %(order_id)s, %(fills)s, %(positions)s::text::jsonb)
ON CONFLICT (account_id, mode, fills) DO NOTHING
