-- KEYS: 1 live, 2 hw, 3 where from, 4 how far the run came. ARGV: 1 `1` where messages are counted, 2 `1`
-- to move, 3 the most, 4 the backlog's bound or -1, 5 for how many seconds the run is known (0: there is
-- none); then id, part, count, frame of each, in order.
local counted, moves, limit, bound = ARGV[1] == '1', ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
local run_s = tonumber(ARGV[5])
local known = redis.call('HMGET', KEYS[2], 'appended', 'handled', 'expired', 'cancelled', 'dead')
local function counter(at) return tonumber(known[at] or 0) end
local backlog = counter(1) - counter(2) - counter(3) - counter(4) - counter(5)

-- A place as numbers: milliseconds, number, part.
local function place(id, part)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return {tonumber(ms), tonumber(seq), tonumber(part)}
end

local stands
if run_s > 0 then
  local known = redis.call('HMGET', KEYS[4], 'id', 'part')
  if known[1] then stands = place(known[1], known[2]) end
end

local function is_copied(id, part)
  if not stands then return false end
  local this = place(id, part)
  for at = 1, 3 do
    if this[at] ~= stands[at] then return this[at] < stands[at] end
  end
  return true
end

local function is_there(id)
  if moves then return redis.call('XDEL', KEYS[3], id) == 1 end
  return entry_of(KEYS[3], id)
end

local messages, done, last, reached, stop = 0, 0, false, false, 0
for at = 6, #ARGV, 4 do
  if done == limit then break end
  local id, part, n = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  if not is_copied(id, part) then
    if counted and bound >= 0 and backlog + n > bound then
      if entry_of(KEYS[3], id) then
        stop = 1
        break
      end
    elseif is_there(id) then
      store(KEYS[1], KEYS[2], counted, n, ARGV[at + 3])
      if counted then redis.call('HINCRBY', KEYS[2], 'appended', n) end
      messages, done, last, backlog = messages + n, done + 1, id, backlog + n
      reached = {id, part}
    end
  end
end
if run_s > 0 and reached then
  redis.call('HSET', KEYS[4], 'id', reached[1], 'part', reached[2])
  redis.call('EXPIRE', KEYS[4], run_s)
end
return {messages, last, stop}
