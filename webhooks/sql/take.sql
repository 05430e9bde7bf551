-- What may be sent now: of each order, plan or alert the first one that waits for an endpoint, with its event.
-- Takes:   endpoint uuid[] and free int[], of one length: how many each may get; busy bigint[]: deliveries that are being sent.
-- Returns: the columns of webhooks.body.Due.
-- Locks:   nothing: one process sends at a time.
-- OFFSET 0 and LIMIT keep each look-up one by key, whatever is known of the tables: a join would read them all.
SELECT d.id, d.endpoint_id, d.subject, d.seq, d.type, d.at, d.attempts, extract(epoch FROM now() - d.queued_at)::float8,
    COALESCE(oe.status, pe.status), COALESCE(oe.data, pe.data, al.data),
    (SELECT name FROM accounts_account WHERE id = COALESCE(o.account_id, p.account_id, al.account_id)),
    o.client_order_id, o.type, o.token_in, o.token_out, o.amount, o.percent, o.exact_out, o.mode, o.plan_id, o.leg,
    p.client_plan_id, p.kind
FROM unnest(%(endpoint)s::uuid[], %(free)s::int[]) AS w(id, free)
CROSS JOIN LATERAL (
    SELECT * FROM webhooks_delivery d
    WHERE d.endpoint_id = w.id AND d.next_at <= now() AND d.id <> ALL(%(busy)s::bigint[])
        AND (
            SELECT b.id FROM webhooks_delivery b
            WHERE b.subject = d.subject AND b.endpoint_id = d.endpoint_id AND b.state = 'waiting'
            ORDER BY b.seq, b.type LIMIT 1) = d.id
    ORDER BY d.next_at, d.id LIMIT w.free
) d
LEFT JOIN LATERAL (SELECT * FROM orders_order WHERE id = d.subject AND d.type NOT LIKE 'plan.%%' OFFSET 0) o ON true
LEFT JOIN LATERAL (SELECT * FROM orders_orderevent WHERE order_id = o.id AND seq = d.seq OFFSET 0) oe ON true
LEFT JOIN LATERAL (SELECT * FROM orders_plan WHERE id = d.subject AND d.type LIKE 'plan.%%' OFFSET 0) p ON true
LEFT JOIN LATERAL (SELECT * FROM orders_planevent WHERE plan_id = p.id AND seq = d.seq OFFSET 0) pe ON true
LEFT JOIN LATERAL (SELECT * FROM orders_alert WHERE id = d.subject AND d.type LIKE 'alert.%%' OFFSET 0) al ON true
