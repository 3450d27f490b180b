-- resize: a token gets another capacity, for good. Use: graph
-- ARGV: 2 resource, 3 capacity, 4 host (of one that each host has for itself; '': all without a capacity of their own).
-- Nothing is taken back: nothing is granted until use is within it. Jobs that need more are held, those that no longer
-- do are not. Returns the capacity that was; -1 if there was none.
local resource, capacity, field = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '' and 'c' or 'c@' .. ARGV[4]
local name = stock(resource)
local was = tonumber(call('HGET', name, field) or -1)
note_use(resource)
call('HSET', name, field, capacity)
if string.sub(resource, 1, 2) == 'h.' then
  local most, v = 0, call('HGETALL', name)
  for i = 1, #v, 2 do
    if string.sub(v[i], 1, 1) == 'c' then most = math.max(most, tonumber(v[i + 1])) end
  end
  call('HSET', name, 'most', most)
end

-- What the new capacity means to the jobs of a workspace.
local function look_over()
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
end

look_over()
for _, prefix in ipairs(shared(resource) and call('HKEYS', ALL .. 'spaces') or {}) do
  if prefix ~= P then within(prefix, look_over) end
end
return was
