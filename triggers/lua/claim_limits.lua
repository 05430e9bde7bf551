-- Takes due orders out of their buckets: price by price from the one that became due first, in each by time. clock.lua stands
-- in front of it.
--
-- EVALSHA claim_limits 2 index again  pair kind bound most again_in
-- KEYS[1]   limit_index:{pair}:{kind} (sorted set), see places.lua
-- KEYS[2]   triggers:again (sorted set): a claimed order waits here for its executor, and is looked at again if none comes
-- pair      name, such as SOL-USDC
-- kind      gte or lte
-- bound     BEST in its sortable form: gte takes prices up to it, lte prices down to it
-- most      how many orders at most
-- again_in  ms until a claimed order is looked at again
-- Also writes limit_bucket:{pair}:{price} (sorted set), see places.lua.
-- Returns their ids. Their details stay.
local index, again = KEYS[1], KEYS[2]
local pair, kind, bound, most, again_at = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), now_ms() + ARGV[5]
local score = kind == 'gte' and 0 or 1
local taken = {}

while #taken < most do
  local found
  if kind == 'gte' then
    found = redis.call('ZRANGEBYLEX', index, '-', '[' .. bound, 'LIMIT', 0, 1)
  else
    found = redis.call('ZREVRANGEBYLEX', index, '+', '[' .. bound, 'LIMIT', 0, 1)
  end
  if not found[1] then
    break
  end
  local whole, places = string.match(found[1], '^0*(%d-)%.(%d-)0*$')
  local price = (whole == '' and '0' or whole) .. (places == '' and '' or '.' .. places)
  local bucket = 'limit_bucket:' .. pair .. ':' .. price
  local ids = redis.call('ZRANGEBYSCORE', bucket, score, score, 'LIMIT', 0, most - #taken)
  for _, id in ipairs(ids) do
    redis.call('ZREM', bucket, id)
    redis.call('ZADD', again, again_at, 'limit:' .. pair .. ':' .. id)
    taken[#taken + 1] = id
  end
  if redis.call('ZCOUNT', bucket, score, score) == 0 then
    redis.call('ZREM', index, found[1])
  end
end
return taken
