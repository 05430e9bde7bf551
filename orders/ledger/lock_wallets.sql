-- Locks wallets, so that what is reserved of them changes in this transaction only.
-- Takes:   wallets text[] (addresses).
-- Returns: (address, account_id, balance_slot) of those in use.
-- Locks:   the wallets' rows, in one order everywhere, until the transaction ends.
SELECT address, account_id, balance_slot FROM wallets_wallet
WHERE address = ANY(%(wallets)s::text[]) AND state = 'active'
ORDER BY address FOR NO KEY UPDATE
