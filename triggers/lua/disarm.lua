-- Takes an order out of the book, unless the book knows a later seq. places.lua stands in front of it.
--
-- EVALSHA disarm 2 details again  pair id seq
-- KEYS[1]  limit:{pair}:{id} or sniper:{pair}:{id} (hash), see places.lua
-- KEYS[2]  triggers:again (sorted set): details of orders to be looked at again, by the time in ms by Redis' clock
-- pair     name, such as SOL-USDC
-- id       the order's UUID
-- seq      number of the event that ended its rest
-- Also writes the index, see places.lua.
-- Returns 1 if it was there.
local details, again = KEYS[1], KEYS[2]
local pair, id, seq = ARGV[1], ARGV[2], tonumber(ARGV[3])

local held = redis.call('HMGET', details, 'seq', 'kind', 'price')
if held[1] and tonumber(held[1]) > seq then
  return 0
end
redis.call('ZREM', again, details)
if not held[1] then
  return 0
end
take(pair, id, held[2], held[3])
redis.call('DEL', details)
return 1
