-- fail: an execution ended without a result; the worker goes on with its next job. Use: lease fetch
-- ARGV 2 to 5: see slots; reply: see calls; 6 job, 7 execution, 8 packed failure, 9 one line about it, 10 the same text as
-- RQ stores it, 11 whether the job's policy covers it (1), 12 the way in which it failed and 13 how many such in a row make
-- the brake hold the rest (see hindrances). Outcome: the job's new state, or 'fenced'.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = held(id, ARGV[7], worker)
if not j then return fetch('fenced') end
call('SET', key('err', id), ARGV[8])
seen(id, j)
local budget_left = ARGV[11] == '1' and another(j)
if budget_left then unfinished(id, j, nil, ARGV[9], unpack(budget_left)) else unfinished(id, j, 'ERROR', ARGV[9]) end
if j.s == 'ERROR' then
  rq_failed(id, worker, ARGV[10])
  if j.st ~= 'kill' then failed(j, ARGV[12], tonumber(ARGV[13])) end
end
ended = 'failed'
return fetch(j.s)
