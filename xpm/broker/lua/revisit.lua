-- revisit: who waits for tokens is looked at again, whatever was noted. Use: outside graph
-- ARGV: 2 some groups and 3 some resources, packed. Returns 'ok'.
-- Called now and then: an order changes with turns, which nobody is told of.
withdraw()
for _, group in ipairs(cmsgpack.unpack(ARGV[2])) do
  local _, needs = parts_of(group)
  if call('EXISTS', key('lanes', group)) == 1 and fits(needs) then
    open_up(group)
    ring(group)
  end
end
for _, resource in ipairs(cmsgpack.unpack(ARGV[3])) do
  for _, member in ipairs(call('ZRANGE', key('wants', resource), 0, LINE - 1)) do
    if string.sub(member, 1, 1) == '@' then here.outside[#here.outside + 1] = member end
  end
end
finish_up()
return 'ok'
