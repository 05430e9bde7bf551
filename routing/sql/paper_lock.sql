-- Locks a paper transaction whose fate is not decided yet.
-- Takes:   signature text.
-- Returns: a row, if it is so.
-- Locks:   its row; waits for whoever is deciding it.
SELECT 1 FROM routing_papertransaction WHERE signature = %(signature)s AND fate IS NULL FOR UPDATE
