-- fail: an execution ended without a result; the worker goes on with its next job. Use: lease fetch
-- ARGV 2 to 5: see slots; reply: see calls; 6 job, 7 execution, 8 packed failure, 9 one line about it, 10 the same text as
-- RQ stores it. Outcome: the job's new state, or 'fenced'.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = held(id, ARGV[7], worker)
if not j then return fetch('fenced') end
call('SET', key('err', id), ARGV[8])
unfinished(id, j, 'ERROR', ARGV[9])
if j.s == 'ERROR' then rq_failed(id, worker, ARGV[10]) end
counter = 'failed_job_count'
return fetch(j.s)
