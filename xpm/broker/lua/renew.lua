-- renew: the holder of a lease is alive. Use: base rq graph lease
-- ARGV: 2 worker, 3 job, 4 execution, 5 lease in ms, 6 packed progress or ''.
-- Returns 'ok', 'fenced', or 'stop' when somebody asked for the job's end.
local worker, id = ARGV[2], ARGV[3]
call('HSET', key('w', worker), 'seen', now)
call('ZADD', P .. 'workers', now, worker)
local j = held(id, ARGV[4])
if not j or j.u ~= worker then return 'fenced' end
call('ZADD', P .. 'leases', now + tonumber(ARGV[5]), id)
call('HINCRBY', key('j', id), 'ln', 1)
if ARGV[6] ~= '' then call('HSET', P .. 'progress', id, ARGV[6]) end
if call('EXISTS', 'rq:worker:' .. worker) == 1 then
  call('HSET', 'rq:worker:' .. worker, 'last_heartbeat', at(now))
  call('EXPIRE', 'rq:worker:' .. worker, 480)
end
if call('EXISTS', 'rq:job:' .. rq_id(id)) == 1 then call('HSET', 'rq:job:' .. rq_id(id), 'last_heartbeat', at(now)) end
return j.st and 'stop' or 'ok'
