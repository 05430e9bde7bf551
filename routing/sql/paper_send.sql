-- Notes transactions that were sent, or (`fate`) that never land any more; one that is known is left as it is.
-- Takes:   signature text, reference text, fate text or null.
-- Returns: nothing.
-- Locks:   waits for another transaction that is noting the same one.
INSERT INTO routing_papertransaction (signature, reference, fate, sent_at) VALUES (%(signature)s, %(reference)s, %(fate)s, now())
ON CONFLICT (signature) DO NOTHING
