-- finish: an execution has published its result; the worker goes on with its next job. Use: base rq graph lease fetch
-- ARGV 2 to 5: see fetch; 6 job, 7 execution, 8 fence of the record (another's when it was found, not made).
-- Returns as claim; outcome 'done', or 'fenced' when the lease is not the caller's any more.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = held(id, ARGV[7])
if not j or j.u ~= worker then return fetch('fenced') end
unlease(id, j)
if j.a > 1 then call('DEL', key('err', id)) end
move(id, j, 'DONE', '', 't2', now, 'cr', 0, 'f', ARGV[8])
settle(id, 0, 'DONE')
ended = 'successful_job_count'
return fetch('done')
