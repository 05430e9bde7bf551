-- Takes base units of a mint from a wallet that has as many.
-- Takes:   wallet text, mint text, units numeric.
-- Returns: a row where they were taken.
-- Locks:   the balance's row.
UPDATE routing_paperbalance SET units = units - %(units)s
WHERE wallet = %(wallet)s AND mint = %(mint)s AND units >= %(units)s
RETURNING units
