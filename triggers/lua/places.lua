-- Where an order stands in the book. This file and trailing.lua before it stand in front of arm.lua and disarm.lua.
--
-- An order's details are limit:{pair}:{id} or sniper:{pair}:{id} (hash):
--   seq    number of the event since which it rests
--   kind   gte, lte, trailing, listed, token_launch, liquidity or volume
--   price  what fires it: a price, a liquidity, a factor; a plain decimal. Of a trailing stop its bucket, see trailing.lua
--   high   of a trailing stop that was claimed: the high that it had followed
--   mints  those of the pair, with a dash between; missing where a process of the version before armed it
-- A limit stands in limit_bucket:{pair}:{price} (sorted set of ids, score 0 for gte and 1 for lte; equal scores sort by id, and
-- ids sort by time) and its price in limit_index:{pair}:{kind}; a sniper stands in sniper_index:{pair}:{kind}.
-- Indexes are sorted sets with all scores 0, so they sort by text; prices in them have 20 digits, a point and 18 digits.

local function sortable(price)
  local whole, places = string.match(price, '^(%d+)%.?(%d*)$')
  return string.rep('0', 20 - #whole) .. whole .. '.' .. places .. string.rep('0', 18 - #places)
end

local function put(pair, id, kind, price)
  if kind == 'gte' or kind == 'lte' then
    redis.call('ZADD', 'limit_bucket:' .. pair .. ':' .. price, kind == 'gte' and 0 or 1, id)
    redis.call('ZADD', 'limit_index:' .. pair .. ':' .. kind, 0, sortable(price))
  else
    redis.call('ZADD', 'sniper_index:' .. pair .. ':' .. kind, 0, sortable(price) .. ':' .. id)
  end
end

local function take(pair, id, kind, price)
  if kind == 'trailing' then
    return trail_take(pair, id, price)
  end
  if kind == 'gte' or kind == 'lte' then
    local bucket, score = 'limit_bucket:' .. pair .. ':' .. price, kind == 'gte' and 0 or 1
    redis.call('ZREM', bucket, id)
    if redis.call('ZCOUNT', bucket, score, score) == 0 then
      redis.call('ZREM', 'limit_index:' .. pair .. ':' .. kind, sortable(price))
    end
  else
    redis.call('ZREM', 'sniper_index:' .. pair .. ':' .. kind, sortable(price) .. ':' .. id)
  end
end
