-- KEYS: 1 live, 2 hw, 3 prog, then all else that belongs to the stream. What is recorded for the
-- groups of a topic lies beside prog.
local existed = redis.call('EXISTS', KEYS[1], KEYS[2]) > 0
for _, flat in ipairs(of_group('XINFO', 'GROUPS', KEYS[1])) do
  redis.call('UNLINK', KEYS[3] .. ':' .. flat[2])
end
redis.call('UNLINK', unpack(KEYS))
return existed and 1 or 0
