-- Notes that a client watches a pair: it is polled until the time is over.
--
-- EVAL watch 1 watched  pair for_ms
-- KEYS[1]  quotes:watched (sorted set): names of pairs, by the time in ms, by Redis' clock, until which they are polled
-- ARGV[1]  the pair's name
-- ARGV[2]  how long, in ms
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
