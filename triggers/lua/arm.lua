-- Puts a resting order into the book, or moves it to where it belongs now.
--
-- EVALSHA arm 2 details again  pair id seq kind price again_at shelved force
-- KEYS[1]  limit:{pair}:{id} or sniper:{pair}:{id} (hash), see places.lua
-- KEYS[2]  triggers:again (sorted set): details to be looked at again, by time in ms
-- again_at time in ms to look at it again; 0: it stays until it fires
-- shelved  1: it cannot fire until then
-- force    1: also if the book knows this seq already
-- Returns 1 if the order is armed by this call, 0 if the book knew as much or more.
local details, again = KEYS[1], KEYS[2]
local pair, id, seq, kind, price = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local again_at, shelved, force = tonumber(ARGV[6]), ARGV[7] == '1', ARGV[8] == '1'

local held = redis.call('HMGET', details, 'seq', 'kind', 'price')
if held[1] then
  local known = tonumber(held[1])
  if known > seq or known == seq and not force then
    return 0
  end
  take(pair, id, held[2], held[3])
end
redis.call('HSET', details, 'seq', seq, 'kind', kind, 'price', price)
if not shelved then
  put(pair, id, kind, price)
end
if again_at > 0 then
  redis.call('ZADD', again, again_at, details)
else
  redis.call('ZREM', again, details)
end
redis.call('SADD', 'triggers:pairs', pair)
return 1
