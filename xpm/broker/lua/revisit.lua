-- revisit: who waits for tokens is looked at again, whatever was noted. Use: graph
-- Called now and then: an order changes with turns, which nobody is told of. Returns how many groups wait.
local waiting = call('SMEMBERS', P .. 'groups')
for _, group in ipairs(waiting) do
  local slot, needs = parts_of(group)
  if fits(needs) then
    call('SADD', key('open', slot), group)
    ring(group)
  end
end
for _, resource in ipairs(call('SMEMBERS', P .. 'resources')) do
  for _, member in ipairs(call('ZRANGE', key('wants', resource), 0, LINE - 1)) do
    if string.sub(member, 1, 1) == '@' then outside[#outside + 1] = member end
  end
end
finish_up()
return #waiting
