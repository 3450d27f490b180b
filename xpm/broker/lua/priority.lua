-- priority: somebody sets the priority of jobs. Use: control
-- ARGV: see control; 4 the priority. Words: set; same, as it had it already; ended.
local priority = tonumber(ARGV[4])

return each(function(id, j)
  if not STARTABLE[j.s] and j.s ~= 'RUNNING' then return 'ended' end
  if j.p == priority then return 'same' end
  local ready = j.s == 'READY'
  if ready then leave(id, j) end
  j.p = priority
  call('HSET', key('j', id), 'p', priority)
  if ready then enter(id, j) end
  return 'set'
end)
