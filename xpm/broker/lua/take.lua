-- take: a worker that was handed a job by RQ claims just that one. Use: calls
-- ARGV 2 to 5 (no slots): see slots; the reply: see calls; 6 job. Outcome 'refused' when it is not ready.
local again = replayed()
if again then return again end
local id = ARGV[6]

-- Whether a job that needs tokens is the one to be served now.
local function due(j)
  for _, head in ipairs(survey({ group_of(j) }, host)) do
    if head.id == id then return head.may end
  end
  return false
end

local more = drain()
local j = load(id)
if not j or j.s ~= 'READY' or (j.rs and not due(j)) then
  if j and j.s ~= 'RUNNING' then
    rq_hide(id, j)
    rq_show(id, j, nil, j.s)
  end
  return answer('refused', nil, nil, more, '')
end
start(id, j)
return answer('ok', id, j, more, '')
