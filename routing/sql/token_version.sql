-- Returns: (version), which is another one after each committed change of routing_token.
-- Locks:   nothing.
SELECT version FROM routing_tokenversion
