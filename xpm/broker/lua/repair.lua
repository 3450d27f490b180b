-- repair: RQ's view of a page of jobs is made true again. Use: rqlive
-- ARGV: 2 state, 3 offset, 4 count (at most 250). Returns how many were shown anew. READY: see refill.
local state, first, shown = ARGV[2], tonumber(ARGV[3]), 0
local wanted = math.min(tonumber(ARGV[4]), WINDOW - first)  -- what is beyond is not shown
if wanted <= 0 or state == 'READY' then return 0 end
local index = state == 'RUNNING' and P .. 'leases' or key('s', state)
local walk = REGISTRY[state] == 'deferred' and 'ZRANGE' or 'ZREVRANGE'  -- the first that wait, the last that ended
local page = call(walk, index, first, first + wanted - 1, 'WITHSCORES')
for i = 1, #page, 2 do
  local id, j = page[i], load(page[i])
  if j and j.s == state and not rq_shown(id, j, state) then
    rq_hide(id, j)
    if state == 'RUNNING' then
      rq_started(id, j, nil, tonumber(j.t1))
      rq_worker(j.u, id, j.f)
    else
      rq_show(id, j, nil, state, tonumber(page[i + 1]), WINDOW)
    end
    if rq_shown(id, j, state) then shown = shown + 1 end
  end
end
return shown
