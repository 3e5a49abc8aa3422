-- ARGV: from 8 on for each entry: id, count, five totals, for how many milliseconds it is retained
-- (-1: not), how many are at most. KEYS: 5 retained.
local STRIDE = 9
local ids = {}
for at = 8, #ARGV, STRIDE do ids[#ids + 1] = ARGV[at] end
local by, recorded = standing(ids), records(prog, ids)
local answers, ended, messages_ended, diff = {}, {}, 0, {0, 0, 0, 0}

local function retain(id, span_ms, entries_max)
  local entry = entry_of(live, id)
  if not entry then return end
  local now = redis.call('TIME')
  local cutoff = math.max(now[1] * 1000 + math.floor(now[2] / 1000) - span_ms, 0)
  redis.call('XADD', KEYS[5], 'MAXLEN', '=', entries_max, '*', unpack(entry[2]))
  redis.call('XTRIM', KEYS[5], 'MINID', '=', text(cutoff))
end

local function finish_one(at, id)
  local record = recorded[id] or unrecorded()
  local messages, totals = tonumber(ARGV[at + 1]), totals_at(at + 2)
  if not known_count(record, messages) or sum_of(totals) ~= messages or not grows(record, totals) then
    return -2
  end
  grow(diff, record, totals)
  local span_ms = tonumber(ARGV[at + 7])
  if span_ms >= 0 and not topic then retain(id, span_ms, ARGV[at + 8]) end
  ended[#ended + 1] = id
  messages_ended = messages_ended + messages
  by[id] = 0
  return 1
end

for n, id in ipairs(ids) do
  answers[n] = by[id]
  if by[id] == 1 then answers[n] = finish_one(8 + (n - 1) * STRIDE, id) end
end
if #ended > 0 then
  if counted then count(hw, diff) end
  finish(ended, messages_ended)
end
return answers
