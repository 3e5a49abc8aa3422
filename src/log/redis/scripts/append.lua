-- ARGV: 8 the frame.
local refused = refusal()
if refused then return refused end
local id = redis.call('XADD', live, '*', 'n', ARGV[5], 'b', ARGV[8])
local fields = {}
if counted then
  fields = {'frames_in', text(counter(4) + 1), 'live', text(counter(5) + messages)}
end
advance(fields)
return {1, id}
