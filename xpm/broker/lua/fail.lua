-- fail: an execution ended without a result; the worker goes on with its next job. Use: base rq graph lease fetch
-- ARGV 2 to 5: see fetch; 6 job, 7 execution, 8 packed failure, 9 one line about it, 10 the same text as RQ stores it.
-- Returns as claim; outcome: the job's new state, or 'fenced'.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = held(id, ARGV[7])
if not j or j.u ~= worker then return fetch('fenced') end
call('SET', key('err', id), ARGV[8])
unfinished(id, j, 'ERROR', ARGV[9])
if j.s == 'ERROR' then
  call('XADD', 'rq:results:' .. rq_id(id), 'MAXLEN', '10', '*', 'type', '2', 'worker_name', worker, 'exc_string', ARGV[10])
end
ended = 'failed_job_count'
return fetch(j.s)
