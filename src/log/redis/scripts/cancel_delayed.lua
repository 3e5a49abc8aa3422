-- KEYS: 1 hw, 2 delay, 3 its frames, 4 its ids. ARGV: 1 `1` where messages are counted, 2 the id.
local member = redis.call('HGET', KEYS[4], ARGV[2])
if not member then return 0 end
redis.call('HDEL', KEYS[4], ARGV[2])
redis.call('HDEL', KEYS[3], member)
redis.call('ZREM', KEYS[2], member)
if ARGV[1] == '1' then redis.call('HINCRBY', KEYS[1], 'cancelled', 1) end
return 1
