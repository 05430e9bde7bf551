-- A pair is not traded any more: orders that came when it was already traded now wait for its launch like the others.
--
-- EVALSHA unlist 2 listed token_launch  pair
-- KEYS[1]  sniper_index:{pair}:listed (sorted set), see places.lua
-- KEYS[2]  sniper_index:{pair}:token_launch (sorted set), see places.lua
-- pair     name, such as NEW-USDC
-- Also writes sniper:{pair}:{id} (hash) of each. At most 1,000 a call; the next tick moves more.
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, 999)) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZADD', KEYS[2], 0, member)
  redis.call('HSET', 'sniper:' .. ARGV[1] .. ':' .. string.match(member, ':(.*)$'), 'kind', 'token_launch')
end
