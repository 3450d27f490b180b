-- rerun: somebody wants jobs that are done to run again; their results stay until there are new ones. Use: control retry
-- ARGV: see control, inputs before what needs them. Words: rerun; pending, as it is to run anyway; ended without a result.
local ENDED = { ERROR = true, CANCELLED = true, LOST = true }

-- What the job's edges do not know yet of inputs that run again, too: else it might start before them.
local function look_up(id, j)
  local allowed = math.max(0, math.min(j.n, budget))
  budget = budget - allowed
  local known = allowed > 0 and call('GETRANGE', key('in', id), 0, allowed - 1) or ''
  for i, input in ipairs(allowed > 0 and inputs(id, j.n, 0, allowed) or {}) do
    if string.sub(known, i, i) ~= '0' then
      edge(id, i - 1, edge_state(call('HGET', key('j', input), 's')), input)
    end
  end
  return load(id)
end

return each(function(id, j)
  if j.s ~= 'DONE' then return ENDED[j.s] and 'ended' or 'pending' end
  j = look_up(id, j)
  afresh(id, j)
  wanted_by(id, j, listed_by(j))
  j.nb = 0
  place(id, j, signed('to run again'), 'rr', j.f, 'nb', 0)
  return 'rerun'
end)
