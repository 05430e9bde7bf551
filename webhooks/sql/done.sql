-- Writes what became of attempts. One that failed holds back what comes after it of the same order.
-- Takes:   arrays of one length: id bigint[], state text[], wait_s float8[] (of those that go on waiting), status smallint[],
--          said text[], took_ms int[].
-- Returns: nothing.
-- Locks:   the rows written.
WITH answer AS MATERIALIZED (
    SELECT * FROM unnest(%(id)s::bigint[], %(state)s::text[], %(wait_s)s::float8[], %(status)s::smallint[], %(said)s::text[],
        %(took_ms)s::int[]) AS t(id, state, wait_s, status, said, took_ms)
), written AS (
    UPDATE webhooks_delivery d SET
        state = a.state, attempts = d.attempts + 1, attempted_at = now(), status = a.status, said = a.said, took_ms = a.took_ms,
        next_at = now() + a.wait_s * interval '1 second'
    FROM answer a WHERE d.id = a.id AND d.state = 'waiting'
    RETURNING d.id, d.subject, d.endpoint_id, d.state, d.next_at
)
UPDATE webhooks_delivery d SET next_at = w.next_at
FROM written w
WHERE w.state = 'waiting' AND d.subject = w.subject AND d.endpoint_id = w.endpoint_id AND d.state = 'waiting'
    AND d.id <> w.id AND d.next_at < w.next_at
