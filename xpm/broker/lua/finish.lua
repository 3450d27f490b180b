-- finish: an execution has published its result; the worker goes on with its next job. Use: lease fetch
-- ARGV 2 to 5: see slots; reply: see calls; 6 job, 7 execution, 8 fence of the record (another's when it was found, not
-- made). Outcome 'done', or 'fenced' when the lease is not the caller's any more.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = held(id, ARGV[7], worker)
if not j then return fetch('fenced') end
unlease(id, j)
if j.rr then call('HDEL', key('j', id), 'rr', 'un') end
if j.a > 1 then call('DEL', key('err', id)) end
afresh(id, j)
if j.f == ARGV[8] then move(id, j, 'DONE', '', 't2', now) else move(id, j, 'DONE', '', 't2', now, 'f', ARGV[8]) end
settle(id, 0, 'DONE')
succeeded(j)
ended = 'done'
return fetch('done')
