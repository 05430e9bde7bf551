-- Returns: every token, the columns in the order of the fields of routing.values.Token.
-- Locks:   nothing.
SELECT symbol, mint, decimals, program, verified, name, extensions, source, logo, rank FROM routing_token
