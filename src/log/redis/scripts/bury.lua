-- ARGV: 8 id, 9 index, 10 count, 11 `here`, `mark` (the letter lies elsewhere) or `probe`; 12 the
-- letter. KEYS: 5 dead letters.
local id, index, messages, mode = ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11]
local answer, record = probe(id, index, messages, BURIED)
if answer ~= 2 or mode == 'probe' then return answer end
if mode == 'here' then letter(KEYS[5], ARGV[12]) end
move(id, record, index, messages, BURIED)
return 1
