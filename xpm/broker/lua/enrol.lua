-- enrol: a worker's life begins; its calls are numbered from 1 on. Use: base
-- ARGV: 2 worker, then pairs of field and value.
local fields = { 'n', 0, 'g', '', 'i', '', 'seen', now, 'born', now }
for i = 3, #ARGV do fields[#fields + 1] = ARGV[i] end
call('DEL', key('w', ARGV[2]), key('bell', ARGV[2]))
call('HSET', key('w', ARGV[2]), unpack(fields))
call('ZADD', P .. 'workers', now, ARGV[2])
return 'ok'
