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
