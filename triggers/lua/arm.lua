-- Puts a resting order into the book, or moves it to where it belongs now. clock.lua, trailing.lua and places.lua stand in front of it.
--
-- EVALSHA arm 2 details again  pair id seq kind price again_in shelved force mints bps activation
-- KEYS[1]   limit:{pair}:{id} or sniper:{pair}:{id} (hash), see places.lua
-- KEYS[2]   triggers:again (sorted set): details of orders to be looked at again, by the time in ms by Redis' clock
-- pair      name, such as SOL-USDC
-- id        the order's UUID
-- seq       number of the event since which the order rests
-- kind      gte, lte, trailing, listed, token_launch, liquidity or volume
-- price     what fires it, a plain decimal; of a trailing stop the highest price known since it was armed, or 0
-- again_in  ms until it is looked at again; 0: it stays until it fires
-- shelved   1: it cannot fire until then
-- force     1: also if the book knows this seq already
-- mints     the pair's two mints, with a dash between: what the name meant when the order was armed
-- bps, activation  of a trailing stop: its distance, and the price that it waits for
-- Also writes triggers:pairs (set of the names of pairs that orders wait for) and the index, see places.lua.
-- Returns 1 if the order is armed by this call, 0 if the book knew as much or more.
local details, again = KEYS[1], KEYS[2]
local pair, id, seq, kind, price = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local again_in, shelved, force = tonumber(ARGV[6]), ARGV[7] == '1', ARGV[8] == '1'

local bps, activation = ARGV[10], ARGV[11]

local held = redis.call('HMGET', details, 'seq', 'kind', 'price', 'high')
if held[1] then
  local known = tonumber(held[1])
  -- A process of before knows no trailing stops and arms them as stops.
  local misplaced = kind == 'trailing' and held[2] ~= 'trailing'
  if known > seq or known == seq and not (force or misplaced) then
    return 0
  end
  -- What a trailing stop has followed is never forgotten for what Postgres knows of it.
  local followed = take(pair, id, held[2], held[3])
  for _, high in ipairs({ followed or '0', held[4] or '0' }) do
    if kind == 'trailing' and tonumber(high) > tonumber(price) then
      price = high
    end
  end
end
if kind == 'trailing' then
  redis.call('HSET', details, 'seq', seq, 'kind', kind, 'price', shelved and '' or trail_put(pair, id, bps, price, activation),
    'mints', ARGV[9])
  if shelved then
    redis.call('HSET', details, 'high', price)
  end
else
  redis.call('HSET', details, 'seq', seq, 'kind', kind, 'price', price, 'mints', ARGV[9])
  if not shelved then
    put(pair, id, kind, price)
  end
end
if again_in > 0 then
  redis.call('ZADD', again, now_ms() + again_in, details)
else
  redis.call('ZREM', again, details)
end
redis.call('SADD', 'triggers:pairs', pair)
return 1
