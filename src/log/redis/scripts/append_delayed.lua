-- KEYS: 4 delay, 5 its frames, 6 its ids, 7 known dedup ids. ARGV: 8 the frame, 9 its id, 10 when it
-- is due; from 11 on its dedup id.
local refused = refusal()
if refused then return refused end
if redis.call('HEXISTS', KEYS[6], ARGV[9]) == 1 then return {6} end
if popcount(known_ids(KEYS[7], 11)) > 0 then
  cancel(messages)
  advance({})
  return {2, text(first + messages - 1)}
end
local arrival = redis.call('HINCRBY', hw, 'arrivals', 1)
local member = string.format('%016.0f:s%s', arrival, ARGV[9])
redis.call('ZADD', KEYS[4], ARGV[10], member)
redis.call('HSET', KEYS[5], member, ARGV[8])
redis.call('HSET', KEYS[6], ARGV[9], member)
advance({})
local now = redis.call('TIME')
return {1, now[1] .. string.format('%03d', math.floor(now[2] / 1000)) .. '-0'}
