-- cancel: an experiment does not want these jobs any more. Use: graph rqlive
-- ARGV: 2 experiment's serial, 3 packed list of jobs (at most 250).
-- A job that no experiment wants is CANCELLED; a running one is asked to stop. Returns {cancelled, stopping, kept}.
local cancelled, stopping, kept = 0, 0, 0

local function give_up(id, j)
  local wanted = {}
  for experiment in string.gmatch(j.v, '%S+') do
    if experiment ~= ARGV[2] then wanted[#wanted + 1] = experiment end
  end
  local ready = j.s == 'READY'
  if ready and wanted[1] then leave(id, j) end  -- its lane is that of the first experiment that wants it
  if wanted[1] or not ready then j.v = table.concat(wanted, ' ') end
  if wanted[1] then
    kept = kept + 1
    call('HSET', key('j', id), 'v', j.v)
    if ready then enter(id, j) end
  elseif j.s == 'RUNNING' then
    stopping = stopping + 1
    call('HSET', key('j', id), 'v', '', 'st', 'cancel')
    rq_stop(j.u, id)
  else
    cancelled = cancelled + 1
    local from = j.s
    move(id, j, 'CANCELLED', 'cancelled', 't2', now, 'v', '')
    spread(id, from, 'CANCELLED')
  end
end

for _, id in ipairs(cmsgpack.unpack(ARGV[3])) do
  local j = load(id)
  if j and (STARTABLE[j.s] or j.s == 'RUNNING') then give_up(id, j) end
end
finish_up()
return { cancelled, stopping, kept }
