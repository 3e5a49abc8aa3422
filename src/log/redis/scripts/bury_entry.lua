-- ARGV: 8 id, 9 `here`, `mark` (the letter lies elsewhere) or `probe`; 10 the letter. KEYS: 5 dead
-- letters.
local id, mode = ARGV[8], ARGV[9]
local answer = standing({id})[id]
if answer ~= 1 then return answer end
if mode == 'probe' then return 2 end
local entry = entry_of(live, id)
if not entry then
  acknowledge(id)
  return 0
end
if mode == 'here' then letter(KEYS[5], ARGV[10]) end
-- What was put there by others than us holds no messages that were counted, and is no frame of ours.
local messages = tonumber(field(entry, 'n') or '')
local record = records(prog, {id})[id] or unrecorded()
if counted and not messages then
  redis.call('HINCRBY', hw, 'frames_in', 1)
elseif counted then
  local left = math.max(messages - sum_of(record), 0)
  count(hw, {0, 0, 0, left})
end
finish({id}, messages or 0)
return 1
