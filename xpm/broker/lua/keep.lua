-- keep: one that holds tokens or locks outside of a job is alive. Use: base
-- ARGV: 2 name, 3 lease in ms. Returns 'ok', or 'gone' when it holds and waits for nothing any more.
local name = ARGV[2]
if call('EXISTS', key('a', name)) == 0 then return 'gone' end
call('ZADD', P .. 'holds', now + tonumber(ARGV[3]), name)
call('HINCRBY', key('a', name), 'n', 1)
return 'ok'
