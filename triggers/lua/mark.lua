-- Notes that a task of the engine's rhythm has done its work. clock.lua stands in front of it.
--
-- EVAL mark 1 pulse  task
-- KEYS[1]  triggers:pulse (hash): for each task the time in ms, by Redis' clock, of its last complete run
-- ARGV[1]  the task's name
redis.call('HSET', KEYS[1], ARGV[1], now_ms())
