-- Gives a tick of the market its turn, unless another tick began within the period. clock.lua stands in front of it.
--
-- EVAL turn 2 turn watched  period_ms watched_ms
-- KEYS[1]     quotes:turn (string): when the last tick began, in ms by Redis' clock
-- KEYS[2]     quotes:watched (sorted set): pairs that clients watch, by the time in ms until which they are polled
-- period_ms   how long a turn keeps others away
-- watched_ms  how long a pair is watched at most without being asked for again
-- Returns {1 if the turn is ours, names of the watched pairs}
--
-- The stored time is compared instead of left to an expiry: an expiry is an absolute time, and after the clock is set back it
-- comes late by the whole step. A time in the future comes from before such a step and keeps nobody away.
local now, period, watched_ms = now_ms(), tonumber(ARGV[1]), tonumber(ARGV[2])
local age = now - (tonumber(redis.call('GET', KEYS[1])) or 0)
if age >= 0 and age < period then
  return { 0, {} }
end
redis.call('SET', KEYS[1], now, 'PX', period)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. now)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '(' .. now + watched_ms, '+inf')
return { 1, redis.call('ZRANGE', KEYS[2], 0, -1) }
