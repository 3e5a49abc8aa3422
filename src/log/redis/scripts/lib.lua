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
