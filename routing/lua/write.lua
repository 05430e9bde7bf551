-- Writes the newest prices: a slow poll never overwrites what a later one saw.
--
-- EVAL write n key … fields …
-- KEYS[i]  quotes:{pair}:{venue or BEST} (hash)
-- ARGV[i]  JSON array: the time of the look as sortable text, then field, value, field, value, …
-- Returns how many hashes were written.
local written = 0
for i, key in ipairs(KEYS) do
  local fields = cjson.decode(ARGV[i])
  local held = redis.call('HGET', key, 'seen_at')
  if not held or held < fields[1] then
    redis.call('HSET', key, 'seen_at', unpack(fields))
    written = written + 1
  end
end
return written
