-- Which of these entries are there. KEYS: 1 entries. ARGV: the ids.
local answers = {}
for n, id in ipairs(ARGV) do answers[n] = entry_of(KEYS[1], id) and 1 or 0 end
return answers
