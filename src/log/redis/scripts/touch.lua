-- ARGV: from 8 on the ids.
local ids = {unpack(ARGV, 8)}
local by, answers = standing(ids), {}
for n, id in ipairs(ids) do
  answers[n] = by[id]
  if by[id] == 1 then
    -- What it does not answer was removed by hand; it is pending no more.
    local kept = redis.call('XCLAIM', live, group, consumer, 0, id, 'JUSTID')
    if #kept == 0 then answers[n] = 0 end
  end
end
return answers
