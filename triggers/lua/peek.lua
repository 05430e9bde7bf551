-- Whether anything of a pair is due: six looks at the edge of an index, whatever it holds.
--
-- EVALSHA peek 5 gte lte token_launch liquidity volume  pair down up launched liquidity factor
-- KEYS[1], KEYS[2]  limit_index:{pair}:gte, …:lte (sorted sets), see places.lua
-- KEYS[3] to [5]    sniper_index:{pair}:token_launch, …:liquidity, …:volume (sorted sets), see places.lua
-- pair              name, such as SOL-USDC
-- down, up          BEST in its sortable form, rounded down and up
-- launched, liquidity, factor  what is reached, in sortable form
-- A value is '' where nothing can be due.
-- Returns {limits due, snipers due}, each 1 or 0. Removes the pair from triggers:pairs (set) when no order waits for it.
local function any(index, command, from, bound)
  return bound ~= '' and #redis.call(command, index, from, bound, 'LIMIT', 0, 1) or 0
end

local function upto(bound)
  return bound ~= '' and '(' .. bound .. ';' or ''
end

if redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], 'sniper_index:' .. ARGV[1] .. ':listed',
  'trail_highs:' .. ARGV[1], 'trail_waits:' .. ARGV[1]) == 0 then
  redis.call('SREM', 'triggers:pairs', ARGV[1])
  return { 0, 0 }
end
local gte = any(KEYS[1], 'ZRANGEBYLEX', '-', ARGV[2] ~= '' and '[' .. ARGV[2] or '')
local lte = any(KEYS[2], 'ZREVRANGEBYLEX', '+', ARGV[3] ~= '' and '[' .. ARGV[3] or '')
local launch = any(KEYS[3], 'ZRANGEBYLEX', '-', upto(ARGV[4]))
local liquidity = any(KEYS[4], 'ZRANGEBYLEX', '-', upto(ARGV[5]))
local volume = any(KEYS[5], 'ZRANGEBYLEX', '-', upto(ARGV[6]))
local trailing = 0
if ARGV[3] ~= '' then
  trailing = #redis.call('ZREVRANGEBYSCORE', 'trail_index:' .. ARGV[1], '+inf', ARGV[2], 'LIMIT', 0, 1)
end
return { math.max(gte, lte, trailing), math.max(launch, liquidity, volume) }
