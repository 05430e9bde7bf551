-- Publishes many messages in one command: packing one costs the client a quarter of packing a PUBLISH for each.
-- EVALSHA publish 0 channel message [channel message …]
for i = 1, #ARGV, 2 do
  redis.call('PUBLISH', ARGV[i], ARGV[i + 1])
end
