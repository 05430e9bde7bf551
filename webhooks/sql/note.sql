-- Notes what has been committed, for whoever wants it. One statement for both: what is new, and what is to be sent again.
-- Takes:   since, until timestamptz: events from since on and before until. Of what is new none of before since is missing,
--          and until is infinity. endpoint uuid: who wants it again; null: what is new, for all that are enabled.
-- Returns: nothing; its row count is the number of deliveries that wait now.
-- Locks:   the deliveries written; orders and plans are only read.
-- OFFSET 0 and LIMIT keep each look-up one by key, whatever is known of the tables: a join would read them all.
WITH listening AS MATERIALIZED (
    SELECT id, account_id, all_accounts, types,
        CASE WHEN %(endpoint)s::uuid IS NULL THEN greatest(since, %(since)s) ELSE %(since)s END AS since
    FROM webhooks_endpoint WHERE CASE WHEN %(endpoint)s::uuid IS NULL THEN enabled ELSE id = %(endpoint)s END
), account AS MATERIALIZED (
    SELECT account_id AS id FROM listening
    UNION SELECT id FROM accounts_account WHERE EXISTS (SELECT FROM listening WHERE all_accounts)
), changed AS MATERIALIZED (
    SELECT o.* FROM account a CROSS JOIN LATERAL (
        SELECT id, account_id, trigger_condition FROM orders_order
        WHERE account_id = a.id AND finished_at >= %(since)s
        UNION ALL
        SELECT id, account_id, trigger_condition FROM orders_order
        WHERE account_id = a.id AND finished_at IS NULL AND updated_at >= %(since)s
    ) o
), happened AS (
    SELECT c.account_id, c.id AS subject, e.seq, e.at, t.type
    FROM changed c
    CROSS JOIN LATERAL (
        SELECT seq, at, status, epoch FROM orders_orderevent
        WHERE order_id = c.id AND at >= %(since)s AND at < %(until)s OFFSET 0
    ) e
    CROSS JOIN LATERAL (
        SELECT 'order.' || e.status AS type
        UNION ALL SELECT 'alert.dead_letter' WHERE e.status = 'failed'
            AND EXISTS (SELECT FROM orders_deadletter d WHERE d.order_id = c.id AND d.epoch = e.epoch)
        UNION ALL SELECT 'alert.stop_failed' WHERE e.status = 'failed' AND c.trigger_condition = 'lte'
    ) t
    UNION ALL
    SELECT p.account_id, p.id, e.seq, e.at, 'plan.' || e.status
    FROM account a
    CROSS JOIN LATERAL (
        SELECT id, account_id FROM orders_plan WHERE account_id = a.id AND updated_at >= %(since)s OFFSET 0
    ) p
    CROSS JOIN LATERAL (
        SELECT seq, at, status FROM orders_planevent WHERE plan_id = p.id AND at >= %(since)s AND at < %(until)s OFFSET 0
    ) e
    UNION ALL
    SELECT account_id, id, 1, at, 'alert.' || kind FROM orders_alert WHERE at >= %(since)s AND at < %(until)s
)
INSERT INTO webhooks_delivery AS d (endpoint_id, subject, seq, type, at, state, attempts, queued_at, next_at, said)
SELECT w.id, h.subject, h.seq, h.type, h.at, 'waiting', 0, now(), greatest(now(), (
    -- Behind one of the same order that waits for its next attempt it waits as long.
    SELECT b.next_at FROM webhooks_delivery b
    WHERE b.subject = h.subject AND b.endpoint_id = w.id AND b.state = 'waiting' ORDER BY b.seq, b.type LIMIT 1)), ''
FROM happened h
JOIN listening w ON (w.all_accounts OR w.account_id = h.account_id
        -- What stops everybody is told to everybody.
        OR h.account_id IS NULL AND h.type = 'alert.trading_state')
    AND h.type = ANY(w.types) AND h.at >= w.since
LEFT JOIN LATERAL (
    SELECT b.id FROM webhooks_delivery b
    WHERE b.subject = h.subject AND b.endpoint_id = w.id AND b.seq = h.seq AND b.type = h.type LIMIT 1
) noted ON true
WHERE noted.id IS NULL OR %(endpoint)s::uuid IS NOT NULL
ORDER BY h.at, h.seq
ON CONFLICT (subject, endpoint_id, seq, type) DO UPDATE SET state = 'waiting', attempts = 0, queued_at = now(), next_at = now()
    WHERE %(endpoint)s::uuid IS NOT NULL AND d.state <> 'waiting'
