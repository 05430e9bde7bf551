-- Moves the trailing stops of a pair up with the price. clock.lua and trailing.lua stand in front of it.
--
-- EVALSHA follow 2 last recent  pair best gap_ms most again
-- KEYS[1]  trail_last:{pair} (hash): price and at (ms by Redis' clock) of the fresh price before
-- KEYS[2]  trail_recent:{pair} (hash): second by Redis' clock → the highest price that counted in it, until Postgres has it
-- pair     name, such as SOL-USDC
-- best     BEST, a plain decimal
-- gap_ms   after a longer gap there is no price before
-- most     how many orders may change their bucket in this call
-- again    1: goes on with the same price
-- Returns 1 if more orders are to change theirs, else 0.
--
-- What counts is the lower of the last two prices: one tick of a thin pool moves nothing. Buckets below it become one: the
-- orders of smaller ones go over to the largest, so that an order changes its bucket a few times in its life.
local last, recent, pair, best, gap, left = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local highs, waits = 'trail_highs:' .. pair, 'trail_waits:' .. pair
if redis.call('EXISTS', highs, waits) == 0 then
  redis.call('DEL', last)
  return 0
end
local now = now_ms()
local before = redis.call('HMGET', last, 'price', 'at', 'counts')
local counts = before[3]
if ARGV[5] ~= '1' then
  redis.call('HSET', last, 'price', best, 'at', now)
  if not before[1] or now - tonumber(before[2]) > gap or now < tonumber(before[2]) then
    return 0
  end
  counts = tonumber(before[1]) < tonumber(best) and before[1] or best
  redis.call('HSET', last, 'counts', counts)
  local second = math.floor(now / 1000)
  local known = redis.call('HGET', recent, second)
  if not known or tonumber(known) < tonumber(counts) then
    redis.call('HSET', recent, second, counts)
  end
end

local below = redis.call('ZRANGEBYSCORE', highs, '-inf', '(' .. counts)
for _, n in ipairs(redis.call('ZRANGEBYSCORE', waits, '-inf', counts)) do
  below[#below + 1] = n
end
if not below[1] then
  return 0
end
local largest, size = nil, -1
for _, n in ipairs(redis.call('ZRANGEBYSCORE', highs, counts, counts)) do
  below[#below + 1] = n
end
for _, n in ipairs(below) do
  local many = redis.call('ZCARD', trail_bucket(pair, n))
  if many > size then
    largest, size = n, many
  end
end
redis.call('HSET', 'trail_high:' .. pair, largest, counts)
redis.call('ZREM', waits, largest)
redis.call('ZADD', highs, counts, largest)
for _, n in ipairs(below) do
  if n ~= largest and left > 0 then
    local moved = redis.call('ZRANGE', trail_bucket(pair, n), 0, left - 1, 'WITHSCORES')
    for i = 1, #moved, 2 do
      redis.call('ZADD', trail_bucket(pair, largest), moved[i + 1], moved[i])
      redis.call('ZREM', trail_bucket(pair, n), moved[i])
      redis.call('HSET', 'limit:' .. pair .. ':' .. moved[i], 'price', largest)
    end
    left = left - #moved / 2
    trail_reindex(pair, n)
  end
end
trail_reindex(pair, largest)
return left > 0 and 0 or 1
