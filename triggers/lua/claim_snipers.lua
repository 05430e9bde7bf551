-- Takes snipers whose threshold is reached out of their index, the lowest threshold first, then by time.
--
-- EVALSHA claim_snipers 2 index again  pair bound most again_at
-- KEYS[1]  sniper_index:{pair}:{kind} (sorted set): {threshold in its sortable form}:{id}
-- KEYS[2]  triggers:again (sorted set)
-- Returns at most `most` ids. Their details stay.
local index, again = KEYS[1], KEYS[2]
local pair, bound, most, again_at = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local taken = {}

-- ';' follows ':', so every id at the bound itself is within.
for _, member in ipairs(redis.call('ZRANGEBYLEX', index, '-', '(' .. bound .. ';', 'LIMIT', 0, most)) do
  local id = string.match(member, ':(.*)$')
  redis.call('ZREM', index, member)
  redis.call('ZADD', again, again_at, 'sniper:' .. pair .. ':' .. id)
  taken[#taken + 1] = id
end
return taken
