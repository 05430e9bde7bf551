-- Token buckets (GCRA), many requests at once.
--
-- EVALSHA take.lua <keys> bucket… ; period_us limit … (one pair a key) ; cost buckets … (one pair a request)
--   KEYS: one string a bucket, in the order of the requests; it holds the moment (µs) at which the bucket is full again.
--   A request has `buckets` consecutive keys; it is let through if each of them holds `cost`, and then takes it from each.
-- Returns for each request: {let through 0|1, limit, remaining, µs until full, µs to wait} of its tightest bucket.

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local answers = {}
local key = 1
for request = 2 * #KEYS + 1, #ARGV, 2 do
  local cost = tonumber(ARGV[request])
  local last = key + tonumber(ARGV[request + 1]) - 1
  local through = 1
  local full_at = {}
  local tightest = nil
  for n = key, last do
    local period, limit = tonumber(ARGV[2 * n - 1]), tonumber(ARGV[2 * n])
    local token = period / limit
    local before = math.max(now, tonumber(redis.call('GET', KEYS[n]) or 0))
    -- Nothing that was let through makes a bucket full later than one period from then: the clock was set back since.
    if before > now + period then before = now end
    local after = before + math.min(cost, limit) * token
    local wait = after - now - period
    if wait > 0 then through = 0 end
    full_at[n] = after
    local left = math.max(0, math.floor((period - (after - now)) / token + 0.000001))
    local answer = {0, limit, left, after - now, math.max(0, wait)}
    if wait > 0 then
      answer[3] = math.max(0, math.floor((period - (before - now)) / token + 0.000001))
      answer[4] = before - now
    end
    if tightest == nil or answer[5] > tightest[5] or (answer[5] == tightest[5] and answer[3] < tightest[3]) then
      tightest = answer
    end
  end
  if through == 1 then
    for n = key, last do
      redis.call('SET', KEYS[n], string.format('%.0f', full_at[n]), 'PX', math.ceil((full_at[n] - now) / 1000))
    end
  end
  tightest[1] = through
  answers[#answers + 1] = tightest
  key = last + 1
end
return answers
