-- KEYS: 1 live, 2 hw. ARGV: 1 kind, 2 group, 3 the id after which it starts.
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[2], ARGV[3], 'MKSTREAM')
if type(made) == 'table' and made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
  return made
end
redis.call('HSETNX', KEYS[2], 'kind', ARGV[1])
return 1
