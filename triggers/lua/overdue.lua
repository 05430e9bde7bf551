-- Which orders are to be looked at again by now. clock.lua stands in front of it.
--
-- EVALSHA overdue 2 again seen  most
-- KEYS[1]  triggers:again (sorted set): details of orders, by the time in ms by Redis' clock
-- KEYS[2]  triggers:time (string): Redis' clock in ms at the last call
-- Returns at most `most` details, the earliest first.
--
-- When the clock was set back since the last call, the times on the list are moved by as much: nobody waits for the step.
local again, seen, most = KEYS[1], KEYS[2], ARGV[1]
local now = now_ms()
local back = (tonumber(redis.call('GET', seen)) or now) - now
redis.call('SET', seen, now)
if back > 1000 then
  local held = redis.call('ZRANGE', again, 0, -1, 'WITHSCORES')
  for i = 1, #held, 2 do
    redis.call('ZADD', again, held[i + 1] - back, held[i])
  end
end
return redis.call('ZRANGEBYSCORE', again, '-inf', now, 'LIMIT', 0, most)
