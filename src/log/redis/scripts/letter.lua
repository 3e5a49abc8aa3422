-- A dead letter of another stream, once. KEYS: 1 hw, 2 dead letters, 3 what says that it is there.
-- ARGV: 1 kind, 2 the letter, 3 for how many seconds it is remembered.
if redis.call('SET', KEYS[3], '1', 'NX', 'EX', ARGV[3]) then
  redis.call('HSETNX', KEYS[1], 'kind', ARGV[1])
  letter(KEYS[2], ARGV[2])
end
return 1
