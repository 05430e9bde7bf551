-- Trailing stops of a pair. This file stands in front of the scripts that arm, disarm, move and claim them.
--
-- Those with the same high share a bucket, so that a new high is one write, however many follow it:
--   trail_bucket:{pair}:{n}  (sorted set): ids by their distance in basis points
--   trail_high:{pair}        (hash): bucket → its high, a plain decimal; of one that waits, the price that activates it
--   trail_highs:{pair}       (sorted set): buckets that follow the price, by their high
--   trail_waits:{pair}       (sorted set): buckets that wait for their activation, by its price
--   trail_index:{pair}       (sorted set): buckets that follow, by the price at which their first order fires
--   trail_seq:{pair}         (string): the last bucket's number
-- Scores are doubles: they find candidates, and the executor compares the exact prices once more.

local function trail_bucket(pair, n)
  return 'trail_bucket:' .. pair .. ':' .. n
end

local function trail_fires_at(high, bps)
  return tonumber(high) * (1 - bps / 10000)
end

-- Puts a bucket where it belongs by its first order, or takes it away when it is empty.
local function trail_reindex(pair, n)
  local first = redis.call('ZRANGE', trail_bucket(pair, n), 0, 0, 'WITHSCORES')
  if not first[1] then
    redis.call('HDEL', 'trail_high:' .. pair, n)
    redis.call('ZREM', 'trail_highs:' .. pair, n)
    redis.call('ZREM', 'trail_waits:' .. pair, n)
    redis.call('ZREM', 'trail_index:' .. pair, n)
  elseif redis.call('ZSCORE', 'trail_highs:' .. pair, n) then
    local high = redis.call('HGET', 'trail_high:' .. pair, n)
    redis.call('ZADD', 'trail_index:' .. pair, string.format('%.17g', trail_fires_at(high, tonumber(first[2]))), n)
  end
end

-- The number of the bucket with that high; a new one where there is none.
local function trail_place(pair, high, follows)
  local index = (follows and 'trail_highs:' or 'trail_waits:') .. pair
  for _, n in ipairs(redis.call('ZRANGEBYSCORE', index, high, high)) do
    if redis.call('HGET', 'trail_high:' .. pair, n) == high then
      return n
    end
  end
  local n = tostring(redis.call('INCR', 'trail_seq:' .. pair))
  redis.call('HSET', 'trail_high:' .. pair, n, high)
  redis.call('ZADD', index, high, n)
  return n
end

-- Returns the bucket.
local function trail_put(pair, id, bps, high, activation)
  local follows = tonumber(high) > 0 and tonumber(high) >= tonumber(activation)
  local n = trail_place(pair, follows and high or activation, follows)
  redis.call('ZADD', trail_bucket(pair, n), bps, id)
  trail_reindex(pair, n)
  return n
end

-- Takes an order out of its bucket; returns the high that it has followed, or nil.
local function trail_take(pair, id, n)
  if redis.call('ZREM', trail_bucket(pair, n), id) == 0 then
    return nil
  end
  local high = redis.call('ZSCORE', 'trail_highs:' .. pair, n) and redis.call('HGET', 'trail_high:' .. pair, n) or nil
  trail_reindex(pair, n)
  return high
end
