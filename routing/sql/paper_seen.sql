-- What is known of paper transactions.
-- Takes:   signatures text[].
-- Returns: (signature, fate or null, outcome jsonb or null, for how many seconds it is known).
-- Locks:   nothing.
SELECT signature, fate, outcome, extract(epoch FROM clock_timestamp() - sent_at)::float8
FROM routing_papertransaction WHERE signature = ANY(%(signatures)s::text[])
