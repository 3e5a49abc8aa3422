-- KEYS: 1 live. ARGV: 1 group, 2 consumer, 3 limit. Reading one's own history by XREADGROUP would
-- reset the idle clock.
local entries, limit, from = {}, tonumber(ARGV[3]), '-'
while #entries < limit do
  local page = of_group('XPENDING', KEYS[1], ARGV[1], from, '+', 100, ARGV[2])
  for _, pending in ipairs(page) do
    local entry = #entries < limit and entry_of(KEYS[1], pending[1])
    if entry then entries[#entries + 1] = entry end
  end
  if #page < 100 then break end
  from = '(' .. page[#page][1]
end
return entries
