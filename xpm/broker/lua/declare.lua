-- declare: tokens and locks that are about to be used. Use: line
-- ARGV: 2 packed list of {resource, capacity}; what there is keeps its capacity; 0: it is not made.
-- Returns the capacity of each; -1 where there is none, -2 where a token of that name is counted in the other way.
local replies, other = {}, { t = 'h', h = 't' }
for i, wanted in ipairs(cmsgpack.unpack(ARGV[2])) do
  local resource, capacity = wanted[1], tonumber(wanted[2])
  local found = call('HGET', stock(resource), 'c')
  local way = other[string.sub(resource, 1, 1)]
  if not found and call('EXISTS', stock(resource)) == 1 then found = capacity <= 0 and 0 end  -- some hosts have it
  if not found and way and call('EXISTS', stock(way .. string.sub(resource, 2))) == 1 then
    found = -2
  elseif not found and capacity > 0 then
    call('HSET', stock(resource), 'c', capacity)
    found = capacity
  end
  if tonumber(found or -1) >= 0 then note_use(resource) end
  replies[i] = tonumber(found or -1)
end
return replies
