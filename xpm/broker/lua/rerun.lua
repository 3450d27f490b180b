-- rerun: somebody wants jobs that are done to run again; their results stay until there are new ones. Use: control retry
-- ARGV: see control, inputs before what needs them. Words: rerun; pending, as it is to run anyway; ended without a result.
local ENDED = { ERROR = true, CANCELLED = true, LOST = true }

return each(function(id, j)
  if j.s ~= 'DONE' then return ENDED[j.s] and 'ended' or 'pending' end
  j = look_up(id, j)  -- else it might start before inputs that run again, too
  afresh(id, j)
  wanted_by(id, j, listed_by(j))
  j.nb = 0
  place(id, j, signed('to run again'), 'rr', j.f, 'nb', 0)
  return 'rerun'
end)
