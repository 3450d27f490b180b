-- renew: the holder of a lease is alive. Use: lease
-- ARGV: 2 worker, 3 job, 4 execution, 5 lease in ms, 6 packed progress or ''.
-- Returns 'ok', 'fenced', or 'stop' when somebody asked for the job's end.
local worker, id = ARGV[2], ARGV[3]
if call('EXISTS', key('w', worker)) == 1 then  -- else it has to enrol again
  call('HSET', key('w', worker), 'seen', now)
  call('PEXPIRE', key('w', worker), 86400000)
  call('ZADD', P .. 'workers', now, worker)
end
local j = held(id, ARGV[4], worker)
if not j then return 'fenced' end
call('ZADD', P .. 'leases', now + tonumber(ARGV[5]), id)
call('HINCRBY', key('j', id), 'ln', 1)
if ARGV[6] ~= '' then call('HSET', P .. 'progress', id, ARGV[6]) end
rq_heartbeat(worker, id)
return j.st and 'stop' or 'ok'
