-- KEYS: 1 hw, 2 fence. ARGV: 1 kind, 2 epoch, 3 owner.
local stands = redis.call('HMGET', KEYS[2], 'epoch', 'owner')
-- Epochs have all 64 bits, which Lua's numbers have not: compared as they are written.
local function above(a, b) return #a > #b or (#a == #b and a > b) end
if stands[1] then
  if above(stands[1], ARGV[2]) or (stands[1] == ARGV[2] and stands[2] ~= ARGV[3]) then
    return {0, stands[1], stands[2]}
  end
end
redis.call('HSETNX', KEYS[1], 'kind', ARGV[1])
redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'owner', ARGV[3])
return {1}
