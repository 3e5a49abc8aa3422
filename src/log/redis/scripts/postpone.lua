-- ARGV: 8 id, 9 index, 10 count, 11 the frame, 12 when it is due. KEYS: 5 delay, 6 its frames.
local id, index, messages = ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
local answer, record = probe(id, index, messages, POSTPONED)
if answer ~= 2 then return answer end
local member = string.format('%016.0f:p', redis.call('HINCRBY', hw, 'arrivals', 1))
redis.call('ZADD', KEYS[5], ARGV[12], member)
redis.call('HSET', KEYS[6], member, ARGV[11])
move(id, record, index, messages, POSTPONED)
return 1
