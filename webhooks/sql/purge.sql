-- Deletes what is older than is kept, and what belongs to no endpoint any more. What waits is kept.
-- Takes:   until timestamptz: until then everything is noted, or null: nobody listens; days int; most int.
-- Returns: nothing; its row count.
-- Locks:   the rows deleted.
DELETE FROM webhooks_delivery d WHERE id = ANY(ARRAY(
    (SELECT id FROM webhooks_delivery WHERE at < COALESCE(%(until)s, now()) - %(days)s * interval '1 day'
            AND queued_at < now() - %(days)s * interval '1 day' AND next_at IS NULL
        ORDER BY at LIMIT %(most)s)
    UNION ALL
    (SELECT id FROM webhooks_delivery d WHERE NOT EXISTS (SELECT FROM webhooks_endpoint w WHERE w.id = d.endpoint_id)
        LIMIT %(most)s)))
