-- rank: jobs are parts of longer chains than was known when they were submitted. Use: moves
-- ARGV: 2 packed list of job and rank in turn (at most 100 of each). Returns how many it changed.
local wanted, changed = cmsgpack.unpack(ARGV[2]), 0
for i = 1, #wanted, 2 do
  local id, rank, j = wanted[i], wanted[i + 1], glance(wanted[i])
  if j and STARTABLE[j.s] and tonumber(j.ch or 0) ~= rank then
    if j.s == 'READY' then leave(id, j) end
    j.ch = rank
    call('HSET', key('j', id), 'ch', rank)
    if j.s == 'READY' then enter(id, j) end
    changed = changed + 1
  end
end
flush()
return changed
