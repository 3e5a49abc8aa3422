-- What somebody put into the stream plainly becomes an entry as ours are. ARGV: 8 id, 9 count.
local id, messages = ARGV[8], ARGV[9]
local answer = standing({id})[id]
if answer ~= 1 then return answer end
local entry = entry_of(live, id)
if not entry then
  acknowledge(id)
  return 0
end
local frame = field(entry, 'b')
if not frame or tonumber(field(entry, 'n') or '') then return -2 end
store(live, hw, counted, messages, frame)
if counted then redis.call('HINCRBY', hw, 'appended', messages) end
acknowledge(id)
redis.call('XDEL', live, id)
return 1
