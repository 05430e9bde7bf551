-- Takes snipers whose threshold is reached out of their index, the lowest threshold first, then by time. clock.lua stands in
-- front of it.
--
-- EVALSHA claim_snipers 2 index again  pair bound most again_in
-- KEYS[1]   sniper_index:{pair}:{kind} (sorted set): {threshold in its sortable form}:{id}
-- KEYS[2]   triggers:again (sorted set): a claimed order waits here for its executor, and is looked at again if none comes
-- pair      name, such as SOL-USDC
-- bound     what is reached, in its sortable form
-- most      how many orders at most
-- again_in  ms until a claimed order is looked at again
-- Returns their ids. Their details stay.
local index, again = KEYS[1], KEYS[2]
local pair, bound, most, again_at = ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms() + ARGV[4]
local taken = {}

-- ';' follows ':', so every id at the bound itself is within.
for _, member in ipairs(redis.call('ZRANGEBYLEX', index, '-', '(' .. bound .. ';', 'LIMIT', 0, most)) do
  local id = string.match(member, ':(.*)$')
  redis.call('ZREM', index, member)
  redis.call('ZADD', again, again_at, 'sniper:' .. pair .. ':' .. id)
  taken[#taken + 1] = id
end
return taken
