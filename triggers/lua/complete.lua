-- Declares the book complete, if Redis has not been wiped since the rebuild began and nobody invalidated the book since.
--
-- EVALSHA complete 3 complete rebuild invalidations  mark seen
-- KEYS[1]  triggers:complete (string): the mark under which the book was last found complete
-- KEYS[2]  triggers:rebuild (string): the mark set when the rebuild began
-- KEYS[3]  triggers:invalidations (string): a counter
-- mark     Redis' run id and the counter when the rebuild began
-- seen     the counter when the rebuild began
-- Returns 1 if it is complete now.
if redis.call('GET', KEYS[2]) ~= ARGV[1] or (redis.call('GET', KEYS[3]) or '0') ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1
