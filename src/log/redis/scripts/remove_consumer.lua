-- KEYS: 1 live. ARGV: 1 group, 2 consumer. Removing one drops what is pending for it without a word.
for _, known in ipairs(of_group('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local about = {}
  for at = 1, #known, 2 do about[known[at]] = known[at + 1] end
  if about.name == ARGV[2] then
    if about.pending > 0 then return 0 end
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
    return 1
  end
end
return 0
