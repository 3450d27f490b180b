-- take: a worker that was handed a job by RQ claims just that one. Use: calls
-- ARGV 2 to 5 (no slots): see slots; the reply: see calls; 6 job. Outcome 'refused' when it is not ready, or not
-- to be granted: of a paused queue RQ's list is emptied, or the worker would come again at once.
local again = replayed()
if again then return again end
local id = ARGV[6]

-- Whether a job that needs tokens is the one to be served now.
local function due(j)
  for _, head in ipairs(survey({ group_of(j) }, host, function(head) return head.outside end)) do
    if head.id == id then return head.may end
  end
  return false
end

local more = drain()
local j = load(id)
local closed = j and j.s == 'READY' and open_slots(group_of(j)) == ''
if not j or j.s ~= 'READY' or closed or braked(id, j) or early(id, j) or (j.rs and not due(j)) then
  if closed then rq_empty(j.q)
  elseif j and j.s ~= 'RUNNING' then
    rq_hide(id, j)
    rq_show(id, j, nil, j.s)
  end
  return answer('refused', nil, nil, more, '')
end
start(id, j)
return answer('ok', id, j, more, '')
