-- What wallets have on paper.
-- Takes:   wallets text[].
-- Returns: (wallet, mint, units) of all that is more than nothing; SOL is under the mint of wrapped SOL.
-- Locks:   nothing.
SELECT wallet, mint, units FROM routing_paperbalance WHERE wallet = ANY(%(wallets)s::text[]) AND units > 0
