-- KEYS: 1 live, 2 hw. ARGV: 1 kind, 2 for how many milliseconds it is kept (-1: for ever).
redis.call('HSETNX', KEYS[2], 'kind', ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then
  -- The only way to an empty stream.
  redis.call('XGROUP', 'CREATE', KEYS[1], 'opened', '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', KEYS[1], 'opened')
end
for at = 1, 2 do
  if ARGV[2] == '-1' then redis.call('PERSIST', KEYS[at])
  else redis.call('PEXPIRE', KEYS[at], ARGV[2]) end
end
return 1
