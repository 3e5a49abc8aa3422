-- Dead letters of another stream, each once. KEYS: 1 live, 2 hw, then for each what says that it is here.
-- ARGV: 1 kind, 2 `1` where messages are counted, 3 `1` where the stream must exist, 4 the backlog's bound
-- or -1, 5 for how many seconds a letter is known; then count and frame of each. Answers how many of them
-- are here now, and why it stopped.
local counted, bound = ARGV[2] == '1', tonumber(ARGV[4])
local known = redis.call('HMGET', KEYS[2], 'kind', 'appended', 'handled', 'expired', 'cancelled', 'dead')
if ARGV[3] == '1' and not known[1] then return {0, 2} end
local function counter(at) return tonumber(known[at] or 0) end
local backlog = counter(2) - counter(3) - counter(4) - counter(5) - counter(6)
local through = 0
for at = 6, #ARGV, 2 do
  local n, seen = tonumber(ARGV[at]), KEYS[3 + through]
  if redis.call('EXISTS', seen) == 0 then
    if counted and bound >= 0 and backlog + n > bound then return {through, 1} end
    redis.call('HSETNX', KEYS[2], 'kind', ARGV[1])
    redis.call('SET', seen, '1', 'EX', ARGV[5])
    store(KEYS[1], KEYS[2], counted, n, ARGV[at + 1])
    if counted then redis.call('HINCRBY', KEYS[2], 'appended', n) end
    backlog = backlog + n
  end
  through = through + 1
end
return {through, 0}
