-- Takes due trailing stops of one bucket, those with the least distance first. clock.lua and trailing.lua stand in front of it.
--
-- EVALSHA claim_trailing 1 again  pair best most again_in
-- KEYS[1]   triggers:again (sorted set): a claimed order waits here for its executor, and is looked at again if none comes
-- pair      name, such as SOL-USDC
-- best      BEST, a plain decimal
-- most      how many orders at most
-- again_in  ms until a claimed order is looked at again
-- Returns {high, id, …}: the high that they have followed; nothing when none is due. Their details stay, with their high.
local again, pair, best, most, again_at = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), now_ms() + ARGV[4]
local n = redis.call('ZREVRANGEBYSCORE', 'trail_index:' .. pair, '+inf', ARGV[2], 'LIMIT', 0, 1)[1]
if not n then
  return {}
end
local high = redis.call('HGET', 'trail_high:' .. pair, n)
local taken = { high }
local members = redis.call('ZRANGE', trail_bucket(pair, n), 0, most - 1, 'WITHSCORES')
for i = 1, #members, 2 do
  if trail_fires_at(high, tonumber(members[i + 1])) < best then
    break
  end
  local details = 'limit:' .. pair .. ':' .. members[i]
  redis.call('HSET', details, 'high', high)
  redis.call('ZADD', again, again_at, details)
  taken[#taken + 1] = members[i]
end
if #taken > 1 then
  redis.call('ZREMRANGEBYRANK', trail_bucket(pair, n), 0, #taken - 2)
end
trail_reindex(pair, n)
return taken
