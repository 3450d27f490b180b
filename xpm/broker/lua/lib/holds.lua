-- holds: the reasons of HOLD other than a dependency. Needs graph.

-- The job has the reasons of HOLD `holds` from now on, and those that its needs give it.
local function hold_for(id, j, holds, why, ...)
  local by = awaited(holds) - awaited(j.h)
  if by ~= 0 then count(j.e, 'held', by) end
  j.h = holds
  call('HSET', key('j', id), 'h', holds, ...)
  place(id, j, why)
  if j.m ~= why and j.s == 'HOLD' then
    call('HSET', key('j', id), 'm', j.h == '' and 'dependency' or held_by_person(j.h) and why or j.h)
  end
end
