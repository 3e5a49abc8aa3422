#!lua
-- What the scripts share. Numbers are exact up to 2^53, which the adapter looks after.

-- Redis would write a large number with an exponent.
local function text(n) return string.format('%.0f', n) end

-- Calls a command with a fixed head and a list that may be long: unpack has a limit.
local function bulk(head, list)
  local sum = 0
  for from = 1, #list, 500 do
    local call = {unpack(head)}
    for at = from, math.min(from + 499, #list) do call[#call + 1] = list[at] end
    local answer = redis.call(unpack(call))
    if type(answer) == 'number' then sum = sum + answer end
  end
  return sum
end

-- Answers of a command on a group, or nothing where the stream or the group is not there.
local function of_group(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    if string.find(answer.err, 'NOGROUP', 1, true) or string.find(answer.err, 'no such key', 1, true) then
      return {}
    end
    error(answer)
  end
  return answer
end

-- The value of a field of an entry.
local function field(entry, name)
  for at = 1, #entry[2], 2 do
    if entry[2][at] == name then return entry[2][at + 1] end
  end
end

-- The entry of this id, or nil.
local function entry_of(live, id)
  return redis.call('XRANGE', live, id, id, 'COUNT', 1)[1]
end

-- Bit strings: bit i of byte i / 8, lowest first.
local function popcount(marks)
  local n = 0
  for at = 1, #marks do
    local byte = string.byte(marks, at)
    while byte > 0 do
      byte = bit.band(byte, byte - 1)
      n = n + 1
    end
  end
  return n
end

local function marked(marks, index)
  local byte = string.byte(marks, math.floor(index / 8) + 1) or 0
  return bit.band(byte, bit.lshift(1, index % 8)) ~= 0
end

local function mark(marks, index)
  local at = math.floor(index / 8) + 1
  if #marks < at then marks = marks .. string.rep('\0', at - #marks) end
  local byte = bit.bor(string.byte(marks, at), bit.lshift(1, index % 8))
  return string.sub(marks, 1, at - 1) .. string.char(byte) .. string.sub(marks, at + 1)
end

-- Whether no mark is at or above the count.
local function within(marks, count)
  for at = #marks, 1, -1 do
    local byte = string.byte(marks, at)
    if byte > 0 then
      local high = 7
      while bit.band(byte, bit.lshift(1, high)) == 0 do high = high - 1 end
      return (at - 1) * 8 + high < count
    end
  end
  return true
end

local function includes(new, old)
  for at = 1, #old do
    local byte = string.byte(old, at)
    if bit.band(string.byte(new, at) or 0, byte) ~= byte then return false end
  end
  return true
end

-- What is recorded of an entry: handled, expired, cancelled, dead, delayed; done, buried, postponed;
-- index and number of the attempt; the number of messages.
local function unrecorded() return {0, 0, 0, 0, 0, '', '', '', -1, 0, 0} end

local function records(prog, ids)
  local by = {}
  for from = 1, #ids, 500 do
    local last = math.min(from + 499, #ids)
    local packed = redis.call('HMGET', prog, unpack(ids, from, last))
    for at = from, last do
      local record = packed[at - from + 1]
      if record then by[ids[at]] = cmsgpack.unpack(record) end
    end
  end
  return by
end

local function sum_of(totals) return totals[1] + totals[2] + totals[3] + totals[4] + totals[5] end

-- Totals only grow, and moved messages are counted by their move alone.
local function grows(record, totals)
  return totals[1] >= record[1] and totals[2] >= record[2] and totals[3] >= record[3]
    and totals[4] == record[4] and totals[5] == record[5]
end

local function known_count(record, count) return record[11] == 0 or record[11] == count end

-- Adds what a record's totals have grown by.
local function grow(diff, record, totals)
  for at = 1, 4 do diff[at] = diff[at] + totals[at] - record[at] end
end

local COUNTERS = {'handled', 'expired', 'cancelled', 'dead'}

local function count(hw, diff)
  for at = 1, 4 do
    if diff[at] ~= 0 then redis.call('HINCRBY', hw, COUNTERS[at], text(diff[at])) end
  end
end

-- Stores an entry of the stream.
local function store(live, hw, counted, n, frame)
  local id = redis.call('XADD', live, '*', 'n', n, 'b', frame)
  if counted then
    redis.call('HINCRBY', hw, 'frames_in', 1)
    redis.call('HINCRBY', hw, 'live', n)
  end
  return id
end

local function letter(dead, frame) redis.call('XADD', dead, '*', 'n', 1, 'b', frame) end
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
-- ARGV: 8 the frame; from 9 on dedup ids. KEYS: where there are such, 4 the known ones, 5 what is
-- recorded of entries.
local refused = refusal()
if refused then return refused end
local marks = known_ids(KEYS[4], 9)
local skipped = popcount(marks)
if skipped == messages then
  cancel(skipped)
  advance({})
  return {2, text(first + messages - 1)}
end
local id
if skipped == 0 then
  id = redis.call('XADD', live, '*', 'n', ARGV[5], 'b', ARGV[8])
else
  id = redis.call('XADD', live, '*', 'n', ARGV[5], 'b', ARGV[8], 's', marks)
  local record = unrecorded()
  record[3], record[6], record[11] = skipped, marks, messages
  redis.call('HSET', KEYS[5], id, cmsgpack.pack(record))
  cancel(skipped)
end
local fields = {}
if counted then
  fields = {'frames_in', text(counter(4) + 1), 'live', text(counter(5) + messages)}
end
advance(fields)
return {1, id}
