-- Declares the book whole, if Redis has not been wiped since the sweep began and nobody has doubted the book since.
--
-- EVALSHA whole 3 whole sweep doubts  mark seen
-- KEYS[1]  triggers:complete (string): what the book was last found whole under
-- KEYS[2]  triggers:rebuild (string): set when the sweep began
-- KEYS[3]  triggers:invalidations (string, a counter)
-- Returns 1 if it is whole now.
if redis.call('GET', KEYS[2]) ~= ARGV[1] or (redis.call('GET', KEYS[3]) or '0') ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1
