-- overdue: the first look at leases that ran out; changes nothing. Use: base
-- Returns {now in ms, {job, execution, renewal number}, ...}, and {'@<name>', '', renewal number} for those that hold
-- tokens or locks outside of a job; nothing is overdue in the grace after a server's start.
local found = { now }
if now < tonumber(call('HGET', P .. 'meta', 'grace') or 0) then return found end
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', '(' .. now, 'LIMIT', 0, 100)) do
  local v = call('HMGET', key('j', id), 'x', 'ln')
  found[#found + 1] = { id, v[1] or '', v[2] or '' }
end
for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'holds', '-inf', '(' .. now, 'LIMIT', 0, 100)) do
  found[#found + 1] = { '@' .. name, '', call('HGET', key('a', name), 'n') or '' }
end
return found
