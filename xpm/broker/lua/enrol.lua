-- enrol: a worker's life begins; its calls are numbered from 1 on. Use: base
-- ARGV: 2 worker, then pairs of field and value.
local worker = ARGV[2]
for slot in string.gmatch(call('HGET', key('w', worker), 'i') or '', '%S+') do call('ZREM', key('idle', slot), worker) end
call('DEL', key('w', worker), key('bell', worker))
call('HSET', key('w', worker), 'n', 0, 'g', '', 'i', '', 'b', '', 'seen', now, 'born', now, unpack(ARGV, 3))
call('ZREM', P .. 'dismissed', worker)
call('PEXPIRE', key('w', worker), 86400000)
call('ZADD', P .. 'workers', now, worker)
return 'ok'
