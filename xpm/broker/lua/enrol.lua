-- enrol: a worker's life begins. Use: base
-- ARGV: 2 worker, then pairs of field and value. Its calls are numbered from 1 on.
local fields = { 'n', 0, 'g', '', 'seen', now, 'born', now }
for i = 3, #ARGV do fields[#fields + 1] = ARGV[i] end
call('DEL', key('w', ARGV[2]), key('bell', ARGV[2]))
call('HSET', key('w', ARGV[2]), unpack(fields))
call('ZADD', P .. 'workers', now, ARGV[2])
return 'ok'
