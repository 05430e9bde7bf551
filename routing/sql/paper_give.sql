-- Gives a wallet base units of a mint.
-- Takes:   wallet text, mint text, units numeric.
-- Returns: nothing.
-- Locks:   the balance's row.
INSERT INTO routing_paperbalance AS held (wallet, mint, units) VALUES (%(wallet)s, %(mint)s, %(units)s)
ON CONFLICT (wallet, mint) DO UPDATE SET units = held.units + EXCLUDED.units
