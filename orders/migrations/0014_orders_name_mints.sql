-- Writes mints for symbols in the next orders.
-- Takes:   after uuid, the last order looked at; most int; symbols text[] and mints text[] of one length.
-- Returns: (id) of the last order looked at, or null when there was none.
-- Locks:   the rows written, for this statement. Passes over those that others hold: whoever reads a row accepts both.
WITH looked AS (
    SELECT id, token_in, token_out FROM orders_order WHERE id > %(after)s ORDER BY id LIMIT %(most)s
), held AS (
    SELECT o.id FROM orders_order o JOIN looked USING (id)
    WHERE o.token_in = ANY(%(symbols)s) OR o.token_out = ANY(%(symbols)s)
    ORDER BY o.id FOR UPDATE OF o SKIP LOCKED
), meaning AS (
    SELECT * FROM unnest(%(symbols)s::text[], %(mints)s::text[]) AS t(symbol, mint)
), written AS (
    UPDATE orders_order o SET
        token_in = COALESCE((SELECT mint FROM meaning WHERE symbol = o.token_in), o.token_in),
        token_out = COALESCE((SELECT mint FROM meaning WHERE symbol = o.token_out), o.token_out)
    FROM held WHERE o.id = held.id
)
SELECT id FROM looked ORDER BY id DESC LIMIT 1
