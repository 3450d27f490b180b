-- dismiss: these workers take no further job; they finish theirs, and end. Use: base
-- ARGV: from 2 on the workers. Returns those that there are. One that is idle is woken, to hear of it.
local DAY = 86400000
local found = {}
for _, old in ipairs(call('ZRANGEBYSCORE', P .. 'dismissed', '-inf', now - DAY, 'LIMIT', 0, 100)) do
  if call('EXISTS', key('w', old)) == 0 then call('ZREM', P .. 'dismissed', old) end  -- one may have a job of days
end
for i = 2, #ARGV do
  local worker = ARGV[i]
  if call('EXISTS', key('w', worker)) == 1 then
    found[#found + 1] = worker
    call('ZADD', P .. 'dismissed', 'NX', now, worker)
    call('RPUSH', key('bell', worker), '1')
    call('PEXPIRE', key('bell', worker), 60000)
  end
end
return found
