-- Puts a resting order into the book, or moves it to where it belongs now. clock.lua and places.lua stand in front of it.
--
-- EVALSHA arm 2 details again  pair id seq kind price again_in shelved force mints
-- KEYS[1]   limit:{pair}:{id} or sniper:{pair}:{id} (hash), see places.lua
-- KEYS[2]   triggers:again (sorted set): details of orders to be looked at again, by the time in ms by Redis' clock
-- pair      name, such as SOL-USDC
-- id        the order's UUID
-- seq       number of the event since which the order rests
-- kind      gte, lte, listed, token_launch, liquidity or volume
-- price     what fires it, a plain decimal
-- again_in  ms until it is looked at again; 0: it stays until it fires
-- shelved   1: it cannot fire until then
-- force     1: also if the book knows this seq already
-- mints     the pair's two mints, with a dash between: what the name meant when the order was armed
-- Also writes triggers:pairs (set of the names of pairs that orders wait for) and the index, see places.lua.
-- Returns 1 if the order is armed by this call, 0 if the book knew as much or more.
local details, again = KEYS[1], KEYS[2]
local pair, id, seq, kind, price = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local again_in, shelved, force = tonumber(ARGV[6]), ARGV[7] == '1', ARGV[8] == '1'

local held = redis.call('HMGET', details, 'seq', 'kind', 'price')
if held[1] then
  local known = tonumber(held[1])
  if known > seq or known == seq and not force then
    return 0
  end
  take(pair, id, held[2], held[3])
end
redis.call('HSET', details, 'seq', seq, 'kind', kind, 'price', price, 'mints', ARGV[9])
if not shelved then
  put(pair, id, kind, price)
end
if again_in > 0 then
  redis.call('ZADD', again, now_ms() + again_in, details)
else
  redis.call('ZREM', again, details)
end
redis.call('SADD', 'triggers:pairs', pair)
return 1
