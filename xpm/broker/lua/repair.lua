-- repair: RQ's view of a page of jobs is made true again. Use: base rq
-- ARGV: 2 state, 3 offset, 4 count (at most 250). Returns how many were shown anew.
local state, shown = ARGV[2], 0
local first = tonumber(ARGV[3])
local ids = call('ZREVRANGE', key('s', state), first, first + tonumber(ARGV[4]) - 1)
local WANTED = { READY = 'queued', RUNNING = 'started', WAITING = 'deferred', HOLD = 'deferred', SCHEDULED = 'deferred',
  DONE = 'finished', ERROR = 'failed', CANCELLED = 'canceled', LOST = 'failed' }
for _, id in ipairs(ids) do
  local j = load(id)
  if j and call('HGET', 'rq:job:' .. rq_id(id), 'status') ~= WANTED[state] then
    if state == 'RUNNING' then
      rq_started(id, j, j.u, call('HGET', key('j', id), 'f'))
      shown = shown + 1
    elseif state ~= 'READY' then
      rq_show(id, j, nil, state)
      shown = shown + 1
    end
  end
end
return shown
