-- renew: the holder of a lease is alive. Use: lease
-- ARGV: 2 worker, 3 job, 4 execution, 5 lease in ms, 6 packed progress or '', 7 progress of a resumable
-- task in millionths or ''. Returns 'ok', 'fenced', or, when somebody asked for the job's end, 'cancel' or 'stop'.
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
if ARGV[7] ~= '' and tonumber(ARGV[7]) > tonumber(j.pg or 0) then  -- further than ever: what was lost before is forgiven
  call('HSET', key('j', id), 'pg', ARGV[7], 'cr', 0, 'gt', 0)
end
rq_heartbeat(worker, id)
if not j.st then return 'ok' end
return j.st == 'cancel' and 'cancel' or 'stop'
