-- Writes what became of a paper transaction that the same transaction has locked.
-- Takes:   signature text, fate text, outcome jsonb.
-- Returns: nothing.
-- Locks:   its row.
UPDATE routing_papertransaction SET fate = %(fate)s, outcome = %(outcome)s::jsonb WHERE signature = %(signature)s
