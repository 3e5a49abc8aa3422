-- KEYS: 1 live, 2 hw, 3 where from. ARGV: 1 `1` where messages are counted, 2 `1` to move, 3 the most;
-- then id, count, frame of each.
local messages, done, last = 0, 0, false
for at = 4, #ARGV, 3 do
  if done == tonumber(ARGV[3]) then break end
  local id, n = ARGV[at], tonumber(ARGV[at + 1])
  local is_there
  if ARGV[2] == '1' then is_there = redis.call('XDEL', KEYS[3], id) == 1
  else is_there = entry_of(KEYS[3], id) end
  if is_there then
    store(KEYS[1], KEYS[2], ARGV[1] == '1', n, ARGV[at + 2])
    if ARGV[1] == '1' then redis.call('HINCRBY', KEYS[2], 'appended', n) end
    messages, done, last = messages + n, done + 1, id
  end
end
return {messages, last}
