-- Adds tokens that are not there yet; what is there stays as it is.
-- Takes:   tokens jsonb array of objects whose keys are the columns.
-- Returns: nothing.
-- Locks:   the inserted rows, and the row of routing_tokenversion until the commit.
INSERT INTO routing_token (mint, symbol, name, decimals, program, extensions, verified, source, logo, rank)
SELECT mint, symbol, name, decimals, program, extensions, verified, source, logo, rank
FROM jsonb_to_recordset(%(tokens)s::jsonb) AS t(
    mint text, symbol text, name text, decimals smallint, program text, extensions jsonb, verified boolean, source text,
    logo text, rank int)
ON CONFLICT DO NOTHING
