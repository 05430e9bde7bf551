-- Asks for one request of a server's allowance, which all processes share. Whoever may wait takes a place in the future, so
-- that those who may not are refused until it has passed: that is the order of precedence.
--
-- EVAL allow 2 full_at rest  interval_us burst_us reserve_us most_us
-- KEYS[1]  venues:{host}:full_at (string): the moment in µs at which the allowance is whole again
-- KEYS[2]  venues:{host}:rest (string): there while the server wants to be left alone
-- ARGV[1]  between two requests, in µs
-- ARGV[2]  how far ahead of that requests may come together
-- ARGV[3]  what of it this caller leaves to others
-- ARGV[4]  how long the caller waits at most
-- Returns {1, µs to wait before asking}, or {0, µs after which to ask again}.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local interval, burst, reserve, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
-- Nobody takes a place further ahead than he waits: a clock that was set back since must not lock everybody out.
if full_at > now + 120000000 then full_at = now end
local wait = math.max(0, full_at - now - burst + reserve, 1000 * redis.call('PTTL', KEYS[2]))
if wait > most then
  return {0, wait}
end
local after = math.max(full_at, now + wait - burst) + interval
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1)
return {1, wait}
