-- Ends waiting for endpoints that have not answered for as long as is tried, and for those that are switched off.
-- Takes:   for_s float: how long is tried; most int.
-- Returns: nothing; its row count.
-- Locks:   the rows written.
UPDATE webhooks_delivery d SET state = 'parked', next_at = NULL
WHERE id = ANY(ARRAY(
    SELECT d.id FROM webhooks_endpoint w JOIN webhooks_delivery d ON d.endpoint_id = w.id AND d.next_at IS NOT NULL
    WHERE d.queued_at < now() - %(for_s)s * interval '1 second'
        AND (NOT w.enabled OR w.failing_since < now() - %(for_s)s * interval '1 second')
    LIMIT %(most)s)) AND d.state = 'waiting'
