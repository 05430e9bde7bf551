-- Redis' clock in ms. Stands in front of the scripts that write or read times of the book: all times in it are Redis' own, so
-- that it does not matter how far the clocks of the processes are apart.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
