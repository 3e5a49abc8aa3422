-- KEYS: 1 live, 2 hw, 3 delay, 4 its frames, 5 its ids. ARGV: 1 `1` where messages are counted, 2 the
-- most to release.
local now = redis.call('TIME')
local now_ms = text(now[1] * 1000 + math.floor(now[2] / 1000))
local members = redis.call('ZRANGE', KEYS[3], '-inf', now_ms, 'BYSCORE', 'LIMIT', 0, ARGV[2])
local released = 0
for _, member in ipairs(members) do
  local frame = redis.call('HGET', KEYS[4], member)
  redis.call('ZREM', KEYS[3], member)
  redis.call('HDEL', KEYS[4], member)
  if string.sub(member, 18, 18) == 's' then redis.call('HDEL', KEYS[5], string.sub(member, 19)) end
  if frame then
    store(KEYS[1], KEYS[2], ARGV[1] == '1', 1, frame)
    released = released + 1
  end
end
local next = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
return {released, next[2] and text(tonumber(next[2]))}
