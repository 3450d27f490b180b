-- depart: a worker's life is over; a job that it still holds is lost to it and runs again. Use: base rq graph lease
-- ARGV: 2 worker, 3 why. Returns the id of that job, or ''.
local worker = ARGV[2]
local v = call('HMGET', key('w', worker), 'j', 'i')
if v[1] then
  local j = load(v[1])
  if j and j.s == 'RUNNING' and j.u == worker then lost(v[1], j, ARGV[3]) end
end
for slot in string.gmatch(v[2] or '', '%S+') do call('ZREM', key('idle', slot), worker) end
call('DEL', key('w', worker), key('bell', worker))
call('ZREM', P .. 'workers', worker)
return v[1] or ''
