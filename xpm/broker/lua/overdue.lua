-- overdue: the first look at leases that ran out. Use: base
-- Returns {now in ms, {job, execution, renewal number}, ...}, and {'@<name>', '', renewal number} for those that hold
-- tokens or locks outside of a job; nothing is overdue in the grace after a server's start.
-- It writes when it was made, only to fail where nothing can be written: there no holder could have renewed either.
-- A lease that ends later than any could is one from before the server's clock was set back.
local found = { now }
call('HSET', P .. 'meta', 'swept', now)
local v = call('HMGET', P .. 'meta', 'grace', 'lease')
if now < tonumber(v[1] or 0) then return found end
local function add(first, last)
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'leases', first, last, 'LIMIT', 0, 100)) do
    local look = call('HMGET', key('j', id), 'x', 'ln')
    found[#found + 1] = { id, look[1] or '', look[2] or '' }
  end
end
add('-inf', '(' .. now)
add('(' .. now + tonumber(v[2] or 0), '+inf')
for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'holds', '-inf', '(' .. now, 'LIMIT', 0, 100)) do
  found[#found + 1] = { '@' .. name, '', call('HGET', key('a', name), 'n') or '' }
end
return found
