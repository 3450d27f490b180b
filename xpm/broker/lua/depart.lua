-- depart: a worker's life is over; a job that it still holds runs again. Use: lease
-- ARGV: 2 worker, 3 why, 4 what that is to the job: 'crashed', 'lost' or 'returned' (see lease). Returns the id of that
-- job, or ''.
local worker = ARGV[2]
unsure = true
local v = call('HMGET', key('w', worker), 'g', 'x', 'i', 'b', 'host')
local id = v[1] or ''
local j = id ~= '' and held(id, v[2], worker) or nil
if not j then id = ''
elseif ARGV[4] == 'crashed' then crashed(id, j, ARGV[3], v[5] or '')
elseif ARGV[4] == 'returned' then returned(id, j, ARGV[3])
else lost(id, j, ARGV[3]) end
for slot in string.gmatch(v[3] or '', '%S+') do call('ZREM', key('idle', slot), worker) end
call('DEL', key('w', worker), key('bell', worker))
call('ZREM', P .. 'workers', worker)
call('ZREM', P .. 'dismissed', worker)
rq_worker(worker)
local rung = v[4] or ''
if rung ~= '' then
  call('SREM', key('coming', rung), worker)
  offer(rung, true)
  if startable(rung) then ring(rung) end
end
finish_up()
return id
