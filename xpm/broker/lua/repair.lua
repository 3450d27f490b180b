-- repair: RQ's view of a page of jobs is made true again. Use: base rq
-- ARGV: 2 state, 3 offset, 4 count (at most 250). Returns how many were shown anew. READY: see refill.
local state, shown = ARGV[2], 0
local index = state == 'RUNNING' and P .. 'leases' or key('s', state)
local first = tonumber(ARGV[3])
for _, id in ipairs(call('ZREVRANGE', index, first, first + tonumber(ARGV[4]) - 1)) do
  local j = load(id)
  local status = state == 'RUNNING' and 'started' or STATUS[REGISTRY[state]]
  if j and j.s == state and call('HGET', 'rq:job:' .. rq_id(id), 'status') ~= status then
    shown = shown + 1
    if state == 'RUNNING' then
      rq_started(id, j, j.u, j.f)
      rq_worker(j.u, id, j.f)
    else
      rq_show(id, j, nil, state)
    end
  end
end
return shown
