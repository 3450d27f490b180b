-- take: a worker that was handed a job by RQ claims just that one. Use: base rq graph fetch
-- ARGV 2 to 5: see fetch (no slots); 6 job. Returns as claim; outcome 'refused' when it is not ready.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = load(id)
seen()
drain()
if not j or j.s ~= 'READY' then
  if j then rq_show(id, j, nil, j.s) end
  return answer('refused')
end
return answer('ok', id, start(id, j))
