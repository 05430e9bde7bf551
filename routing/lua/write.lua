-- Writes prices, the newest win: a poll that took long does not overwrite what a later one saw.
--
-- EVAL write n key …  fields … now_ms lag_ms
-- KEYS[i]    quotes:{pair}:{venue or BEST} (hash)
-- ARGV[i]    JSON array for KEYS[i]: the time of the look as sortable text, then field, value, field, value, …
-- ARGV[n+1]  the writer's clock in ms, read just before this call
-- ARGV[n+2]  Redis' clock minus the writer's in ms, measured earlier in the same tick; '' if it was not
-- Returns how many hashes were written.
--
-- Two fields are added: written_at, Redis' clock in ms, and lag_ms, Redis' clock minus the writer's. Readers use lag_ms to
-- translate the writer's times into those of their own clock. A delay between reading the clock and this call makes the
-- difference larger, so the smaller of two measurements is the better one.
--
-- A stored time is believed for HELD_MS only. When nobody has replaced it for that long although somebody tries, it comes
-- from a clock that was set back since.
local HELD_MS = 1000
local n = #KEYS
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lag = now - tonumber(ARGV[n + 1])
local before = tonumber(ARGV[n + 2])
if before and before < lag then
  lag = before
end
local written = 0
for i, key in ipairs(KEYS) do
  local fields = cjson.decode(ARGV[i])
  local held = redis.call('HMGET', key, 'seen_at', 'written_at')
  local age = now - (tonumber(held[2]) or 0)
  if not held[1] or held[1] < fields[1] or age < 0 or age > HELD_MS then
    redis.call('HSET', key, 'written_at', now, 'lag_ms', lag, 'seen_at', unpack(fields))
    written = written + 1
  end
end
return written
