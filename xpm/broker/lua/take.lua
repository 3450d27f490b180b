-- take: a worker that was handed a job by RQ claims just that one. Use: base rq graph fetch
-- ARGV 2 to 5: see fetch (no slots); 6 job. Returns as claim; outcome 'refused' when it is not ready.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = load(id)
local more = drain()
if not j or j.s ~= 'READY' then
  if j and j.s ~= 'RUNNING' then rq_show(id, j, nil, j.s) end
  return answer('refused', nil, nil, more)
end
start(id, j)
return answer('ok', id, j, more)
