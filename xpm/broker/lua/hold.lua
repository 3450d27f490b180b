-- hold: somebody keeps jobs from starting until they are released. Use: control holds
-- ARGV: see control. Words: held; before, as it was held already; running, which goes on; ended.
return each(function(id, j)
  if not STARTABLE[j.s] then return j.s == 'RUNNING' and 'running' or 'ended' end
  if held_by_person(j.h) then return 'before' end
  hold_for(id, j, j.h == '' and 'person' or j.h .. ' person', signed('held'), 'by', signature())
  return 'held'
end)
