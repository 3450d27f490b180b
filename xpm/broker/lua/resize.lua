-- resize: a token gets another capacity, for good. Use: graph
-- ARGV: 2 resource, 3 capacity, 4 host (of one that each host has for itself; '': all without a capacity of their own).
-- Nothing is taken back: nothing is granted until use is within it. Jobs that need more are held, those that no longer
-- do are not. Returns the capacity that was; -1 if there was none.
local resource, capacity, field = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '' and 'c' or 'c@' .. ARGV[4]
local was = tonumber(call('HGET', key('res', resource), field) or -1)
call('SADD', P .. 'resources', resource)
call('HSET', key('res', resource), field, capacity)
if string.sub(resource, 1, 2) == 'h.' then
  local most, v = 0, call('HGETALL', key('res', resource))
  for i = 1, #v, 2 do
    if string.sub(v[i], 1, 1) == 'c' then most = math.max(most, tonumber(v[i + 1])) end
  end
  call('HSET', key('res', resource), 'most', most)
end
if call('EXISTS', key('over', resource)) == 1 then
  call('SUNIONSTORE', key('again', resource), key('again', resource), key('over', resource))
  call('DEL', key('over', resource))
  call('RPUSH', P .. 'todo', 'O' .. resource .. ':0')
end
for _, group in ipairs(call('ZRANGE', key('wants', resource), 0, -1)) do
  if string.sub(group, 1, 1) ~= '@' then call('RPUSH', P .. 'todo', 'G' .. group .. ':0') end
end
reopen(resource)
finish_up()
return was
