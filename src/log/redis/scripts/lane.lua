-- The lanes of a stream. KEYS: 1 live, 2 hw, 3 gone. ARGV: 1 kind; 2 `1` where messages are counted;
-- 3 lane; 4 first sequence; 5 count; 6 `1` where the stream must exist; 7 the backlog's bound, or -1.
local live, hw, gone = KEYS[1], KEYS[2], KEYS[3]
local counted, lane = ARGV[2] == '1', ARGV[3]
local first, messages = tonumber(ARGV[4]), tonumber(ARGV[5])
local known = redis.call('HMGET', hw, 'kind', lane, 'appended', 'frames_in', 'live',
  'handled', 'expired', 'cancelled', 'dead')

local function counter(at) return tonumber(known[at] or 0) end

-- The answer to a frame that is not to be stored, or nil.
local function refusal()
  if ARGV[6] == '1' and not known[1] then return {4} end
  local last = known[2] and tonumber(known[2])
  if last then
    if first + messages - 1 <= last then return {2, known[2]} end
    if first ~= last + 1 then return {3, known[2]} end
  else
    local ends = redis.call('HGET', gone, lane)
    if ends and tonumber(ends) > tonumber(redis.call('TIME')[1]) then return {7} end
    if first ~= 1 then return {3, '0'} end
  end
  local bound = tonumber(ARGV[7])
  if counted and bound >= 0 then
    local backlog = counter(3) - counter(6) - counter(7) - counter(8) - counter(9)
    if backlog + messages > bound then return {5} end
  end
end

-- What is known after the frame was taken.
local function advance(fields)
  if not known[1] then fields[#fields + 1] = 'kind' fields[#fields + 1] = ARGV[1] end
  fields[#fields + 1] = lane
  fields[#fields + 1] = text(first + messages - 1)
  if counted then
    fields[#fields + 1] = 'appended'
    fields[#fields + 1] = text(counter(3) + messages)
  end
  redis.call('HSET', hw, unpack(fields))
end

-- Which messages have a dedup id that is known, as marks; from then on all of them are. Three of ARGV
-- for each, from `at` on: index, id, and for how many milliseconds it is remembered.
local function known_ids(once, at)
  local marks = ''
  if #ARGV < at then return marks end
  local time = redis.call('TIME')
  local now, latest = time[1] * 1000 + math.floor(time[2] / 1000), 0
  -- More than come, so that it ends; not all at once, which could take long.
  local old = redis.call('ZRANGE', once, '-inf', text(now), 'BYSCORE', 'LIMIT', 0, #ARGV)
  bulk({'ZREM', once}, old)
  for n = at, #ARGV, 3 do
    local ends = tonumber(redis.call('ZSCORE', once, ARGV[n + 1]) or 0)
    if ends > now then
      marks = mark(marks, tonumber(ARGV[n]))
    else
      ends = now + ARGV[n + 2]
      redis.call('ZADD', once, text(ends), ARGV[n + 1])
    end
    latest = math.max(latest, ends)
  end
  if redis.call('PEXPIRETIME', once) < latest then redis.call('PEXPIREAT', once, text(latest)) end
  return marks
end

-- Counts messages that nobody is to handle.
local function cancel(n)
  if counted then redis.call('HINCRBY', hw, 'cancelled', n) end
end
