-- KEYS: 1 live, 2 prog. ARGV: 1 group, 2 consumer, 3 idle ms, 4 limit, 5 grace ms, then the names of
-- the consumers whose entries are taken (none: of all).
local live, prog, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local idle, limit = ARGV[3], tonumber(ARGV[4])
-- Idle clocks are absolute: while the server was down everybody was idle.
local up = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)'))
if up * 1000 < tonumber(ARGV[5]) then return {0} end
local entries, gone = {}, {}

local function public(record)
  return record and {record[1], record[2], record[3], record[4], record[5], record[6], record[9], record[10]} or {}
end

local function take(pending)
  local id, previous = pending[1], pending[2]
  local taken = redis.call('XCLAIM', live, group, consumer, idle, id)[1]
  if taken then
    local record = records(prog, {id})[id]
    entries[#entries + 1] = {id, previous, pending[4] + 1, taken[2], public(record)}
  else
    redis.call('HDEL', prog, id)
    gone[#gone + 1] = id
  end
end

local function scan(...)
  local from = '-'
  while #entries + #gone < limit do
    local page = of_group('XPENDING', live, group, 'IDLE', idle, from, '+', 1000, ...)
    for _, pending in ipairs(page) do
      if #entries + #gone >= limit then return end
      if pending[2] ~= consumer then take(pending) end
    end
    if #page < 1000 then return end
    from = '(' .. page[#page][1]
  end
end

if #ARGV == 5 then scan() end
for at = 6, #ARGV do
  if ARGV[at] ~= consumer then scan(ARGV[at]) end
end
return {1, entries, gone}
