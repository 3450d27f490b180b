-- declare: tokens and locks that are about to be used. Use: needs
-- ARGV: 2 packed list of {resource, capacity}; what there is keeps its capacity; 0: it is not made.
-- Returns the capacity of each; -1 where there is none.
local replies = {}
for i, wanted in ipairs(cmsgpack.unpack(ARGV[2])) do
  local resource, capacity = wanted[1], tonumber(wanted[2])
  local found = call('HGET', key('res', resource), 'c')
  if not found and capacity > 0 then
    call('HSET', key('res', resource), 'c', capacity)
    call('SADD', P .. 'resources', resource)
    found = capacity
  end
  replies[i] = tonumber(found or -1)
end
return replies
