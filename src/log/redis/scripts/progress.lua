-- ARGV: from 8 on for each entry: id, count, five totals, done, index and number of the attempt
-- (index -1 for none).
local STRIDE = 10
local ids = {}
for at = 8, #ARGV, STRIDE do ids[#ids + 1] = ARGV[at] end
local by, recorded = standing(ids), records(prog, ids)
local answers, touched, packed, diff = {}, {}, {}, {0, 0, 0, 0}

local function admits(record, messages, totals, done, marks)
  return known_count(record, messages) and marks == sum_of(totals) and within(done, messages)
    and grows(record, totals) and includes(done, record[6])
end

local function advance(at, id)
  local record = recorded[id] or unrecorded()
  local messages, totals, done = tonumber(ARGV[at + 1]), totals_at(at + 2), ARGV[at + 7]
  local marks = popcount(done)
  local has_marks = marks > 0 or sum_of(totals) > 0
  if has_marks then
    if not admits(record, messages, totals, done, marks) then return -2 end
    grow(diff, record, totals)
    for n = 1, 5 do record[n] = totals[n] end
    record[6], record[11] = done, messages
  end
  local index = tonumber(ARGV[at + 8])
  if index >= 0 then record[9], record[10] = index, tonumber(ARGV[at + 9]) end
  if has_marks or index >= 0 then
    recorded[id] = record
    packed[#packed + 1] = id
    packed[#packed + 1] = cmsgpack.pack(record)
  end
  touched[#touched + 1] = id
  return 1
end

for n, id in ipairs(ids) do
  answers[n] = by[id]
  if by[id] == 1 then answers[n] = advance(8 + (n - 1) * STRIDE, id) end
end
bulk({'HSET', prog}, packed)
if counted then count(hw, diff) end
if not by_fence then
  for from = 1, #touched, 500 do
    local call = {'XCLAIM', live, group, consumer, 0, unpack(touched, from, math.min(from + 499, #touched))}
    call[#call + 1] = 'JUSTID'
    redis.call(unpack(call))
  end
end
return answers
