-- Returns: (base mint, quote mint, venue, pool, min_liquidity) of every permit.
-- Locks:   nothing.
SELECT base, quote, venue, pool, min_liquidity FROM routing_permit
