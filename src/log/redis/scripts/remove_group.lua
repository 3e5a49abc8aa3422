-- KEYS: 1 live, 2 what is recorded for this group alone. ARGV: 1 group.
of_group('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1
