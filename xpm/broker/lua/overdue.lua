-- overdue: the first look at leases that ran out. Use: terms
-- Returns {now in ms, {job, execution, renewal number}, ...}, and {'@<name>', '', renewal number} for those that hold
-- tokens or locks outside of a job; nothing is overdue in the grace after a server's start.
-- It writes when it was made, only to fail where nothing can be written: there no holder could have renewed either.
local found = { now }
call('HSET', P .. 'meta', 'swept', now)
if graced() then return found end

-- What ran out, and what is misplaced.
local function over(index)
  local ids = call('ZRANGEBYSCORE', P .. index, '-inf', '(' .. now, 'LIMIT', 0, 100)
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. index, '(' .. longest, '+inf', 'LIMIT', 0, 100)) do
    ids[#ids + 1] = id
  end
  return ids
end

for _, id in ipairs(over('leases')) do
  local look = call('HMGET', key('j', id), 'x', 'ln')
  found[#found + 1] = { id, look[1] or '', look[2] or '' }
end
for _, name in ipairs(over('holds')) do
  found[#found + 1] = { '@' .. name, '', call('HGET', key('a', name), 'n') or '' }
end
return found
