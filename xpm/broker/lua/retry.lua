-- retry: somebody wants jobs that ended without a result to run again, with fresh budgets. Use: control retry
-- ARGV: see control. Words: retried; done; pending, as it is to run anyway.
-- They are wanted by the experiments that list them, also by one that had given them up.
local AGAIN = { ERROR = true, CANCELLED = true, LOST = true }

return each(function(id, j)
  if not AGAIN[j.s] then return j.s == 'DONE' and 'done' or 'pending' end
  call('DEL', key('err', id))
  afresh(id, j)
  j.v, j.nb = listed_by(j), 0
  place(id, j, signed('retried'), 'v', j.v, 'nb', 0)
  return 'retried'
end)
