-- KEYS: 1 live, 2 prog. ARGV: the ids.
local recorded, answers = records(KEYS[2], ARGV), {}
for n, id in ipairs(ARGV) do
  answers[n] = {}
  if entry_of(KEYS[1], id) then
    local record = recorded[id] or unrecorded()
    answers[n] = {record[1], record[2], record[3], record[4], record[5], record[6], record[9], record[10]}
  end
end
return answers
