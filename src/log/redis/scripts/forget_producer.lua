-- KEYS: 1 hw, 2 gone. ARGV: 1 what the producer's lanes begin with, 2 for how many seconds they refuse
-- late frames.
local now = tonumber(redis.call('TIME')[1])
local old = redis.call('HGETALL', KEYS[2])
for at = 1, #old, 2 do
  if tonumber(old[at + 1]) <= now then redis.call('HDEL', KEYS[2], old[at]) end
end
for _, lane in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(lane, 1, #ARGV[1]) == ARGV[1] then
    redis.call('HSET', KEYS[2], lane, text(now + ARGV[2]))
    redis.call('HDEL', KEYS[1], lane)
  end
end
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('EXPIRE', KEYS[2], ARGV[2]) end
return 1
