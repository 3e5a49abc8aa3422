-- KEYS: 1 live, 2 hw, 3 prog, 4 dead letters, 5 retained, 6 fence, 7 delay. ARGV: 1 `1` where messages
-- are counted.
local function map(flat)
  local by = {}
  for at = 1, #flat, 2 do by[flat[at]] = flat[at + 1] end
  return by
end

local live = KEYS[1]
local exists = redis.call('EXISTS', live) == 1
if not exists and redis.call('EXISTS', KEYS[2]) == 0 then return false end
local about = exists and map(redis.call('XINFO', 'STREAM', live)) or {}
local groups = {}
for _, flat in ipairs(exists and redis.call('XINFO', 'GROUPS', live) or {}) do
  local group = map(flat)
  local consumers = {}
  for _, known in ipairs(redis.call('XINFO', 'CONSUMERS', live, group.name)) do
    local consumer = map(known)
    consumers[#consumers + 1] = {consumer.name, consumer.pending}
  end
  local oldest = redis.call('XPENDING', live, group.name)[2]
  groups[#groups + 1] = {group.name, group['last-delivered-id'], group.pending, oldest, consumers}
end
local done = 0
if ARGV[1] == '1' then
  for _, packed in ipairs(redis.call('HVALS', KEYS[3])) do done = done + sum_of(cmsgpack.unpack(packed)) end
end
-- It is nice to know, and no reason to fail where the user of Redis may not ask for it.
local retained_bytes = redis.pcall('MEMORY', 'USAGE', KEYS[5])
if type(retained_bytes) ~= 'number' then retained_bytes = 0 end
return {
  about.length or 0,
  about['first-entry'] and about['first-entry'][1] or false,
  about['last-generated-id'] or '0-0',
  groups,
  redis.call('XLEN', KEYS[4]),
  redis.call('XLEN', KEYS[5]),
  retained_bytes,
  redis.call('HMGET', KEYS[6], 'epoch', 'owner'),
  redis.call('HMGET', KEYS[2], 'appended', 'handled', 'expired', 'cancelled', 'dead', 'frames_in', 'frames_out', 'live'),
  redis.call('ZCARD', KEYS[7]),
  text(done),
}
