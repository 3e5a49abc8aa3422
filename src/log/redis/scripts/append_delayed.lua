-- KEYS: 4 delay, 5 its frames, 6 its ids. ARGV: 8 the frame, 9 its id, 10 when it is due.
local refused = refusal()
if refused then return refused end
if redis.call('HEXISTS', KEYS[6], ARGV[9]) == 1 then return {6} end
local arrival = redis.call('HINCRBY', hw, 'arrivals', 1)
local member = string.format('%016.0f:s%s', arrival, ARGV[9])
redis.call('ZADD', KEYS[4], ARGV[10], member)
redis.call('HSET', KEYS[5], member, ARGV[8])
redis.call('HSET', KEYS[6], ARGV[9], member)
advance({})
local now = redis.call('TIME')
return {1, now[1] .. string.format('%03d', math.floor(now[2] / 1000)) .. '-0'}
