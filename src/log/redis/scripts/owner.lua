-- The owner of scripts that settle. ARGV: 1 `c` or `f`; 2 group or epoch; 3 consumer or owner; 4 and
-- 5 the lowest and highest id; 6 `1` for a topic; 7 `1` where messages are counted; the rest is the
-- script's. KEYS: 1 live, 2 hw, 3 prog, 4 fence.
local live, hw, prog, fence = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local by_fence, group, consumer = ARGV[1] == 'f', ARGV[2], ARGV[3]
local topic, counted = ARGV[6] == '1', ARGV[7] == '1'

local function acknowledge(id)
  redis.call('XACK', live, group, id)
  redis.call('HDEL', prog, id)
end

local function standing_by_fence(ids)
  local holder = redis.call('HMGET', fence, 'epoch', 'owner')
  local holds = holder[1] == ARGV[2] and holder[2] == ARGV[3]
  local by = {}
  for _, id in ipairs(ids) do
    if not holds then by[id] = -1
    elseif entry_of(live, id) then by[id] = 1
    else by[id] = 0 end
  end
  return by
end

-- By which right the caller holds each entry: 1 it does, 0 not pending, -1 somebody else does.
local function standing(ids)
  if by_fence then return standing_by_fence(ids) end
  local by = {}
  if #ids > 1 then
    local own = of_group('XPENDING', live, group, ARGV[4], ARGV[5], 2 * #ids, consumer)
    for _, pending in ipairs(own) do by[pending[1]] = 1 end
  end
  for _, id in ipairs(ids) do
    if by[id] ~= 1 then
      local pending = of_group('XPENDING', live, group, id, id, 1)[1]
      if not pending then by[id] = 0
      elseif pending[2] == consumer then by[id] = 1
      else by[id] = -1 end
    end
    -- Only a topic's entries are trimmed while they are pending.
    if topic and by[id] == 1 and not entry_of(live, id) then
      acknowledge(id)
      by[id] = 0
    end
  end
  return by
end

local function totals_at(at)
  local totals = {}
  for n = 0, 4 do totals[n + 1] = tonumber(ARGV[at + n]) end
  return totals
end

-- What moving one message would meet: 2 it may be moved, 1 it was moved so before, else the answer.
local function probe(id, index, messages, moved)
  local answer = standing({id})[id]
  if answer ~= 1 then return answer end
  local record = records(prog, {id})[id] or unrecorded()
  if not known_count(record, messages) then return -2 end
  if marked(record[moved], index) then return 1 end
  if marked(record[6], index) then return -2 end
  return 2, record
end

local BURIED, POSTPONED = 7, 8

-- Records a move that was found possible.
local function move(id, record, index, messages, moved)
  local into = moved == BURIED and 4 or 5
  record[6] = mark(record[6], index)
  record[moved] = mark(record[moved], index)
  record[into] = record[into] + 1
  record[11] = messages
  redis.call('HSET', prog, id, cmsgpack.pack(record))
  if counted and moved == BURIED then redis.call('HINCRBY', hw, 'dead', 1) end
end

-- Takes settled entries out.
local function finish(ids, messages)
  if not by_fence then bulk({'XACK', live, group}, ids) end
  bulk({'HDEL', prog}, ids)
  if topic then return end
  local gone = bulk({'XDEL', live}, ids)
  if counted then
    redis.call('HINCRBY', hw, 'frames_out', gone)
    redis.call('HINCRBY', hw, 'live', text(0 - messages))
  end
end
