-- retry: somebody wants jobs that ended without a result to run again, with fresh budgets. Use: control retry
-- ARGV: see control. Words: retried, also if it is being cancelled; done; pending, as it is to run anyway.
-- They are wanted by the experiments that list them, also by one that had given them up.
local AGAIN = { ERROR = true, CANCELLED = true, LOST = true }

return each(function(id, j)
  local stopping = j.s == 'RUNNING' and j.st == 'cancel' and j.v == ''
  if not stopping and not AGAIN[j.s] then return j.s == 'DONE' and 'done' or 'pending' end
  wanted_by(id, j, listed_by(j))
  if stopping then return 'retried' end
  call('DEL', key('err', id))
  afresh(id, j)
  if j.a > 0 then j.nb = 0 end  -- else it is no delay after an attempt, but the start that was wished for
  place(id, j, signed('retried'), 'nb', j.nb or 0)
  return 'retried'
end)
