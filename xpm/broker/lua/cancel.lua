-- cancel: an experiment does not want these jobs any more. Use: control retry
-- ARGV: see control; 4 experiment's serial, or '' for all that want them; 5 'unstarted': only jobs that have not started.
-- A job that no experiment wants is CANCELLED; a running one is asked to stop. Returns {cancelled, stopping, kept}.
-- The experiment's run that lists the job waits for it no longer: it is kept for others.
local function keep(j)
  for token in string.gmatch(j.e, '%S+') do
    if string.match(token, '^%d+') == ARGV[4] then count(token, 'kept', 1) end
  end
end

local counts = { cancelled = 0, stopping = 0, kept = 0 }

local words = each(function(id, j)
  if not STARTABLE[j.s] and (j.s ~= 'RUNNING' or ARGV[5]) then return 'ended' end
  local wanted, wished = {}, false
  for experiment in string.gmatch(j.v, '%S+') do
    if ARGV[4] ~= '' and experiment ~= ARGV[4] then wanted[#wanted + 1] = experiment else wished = true end
  end
  local ready = j.s == 'READY'
  if ready and wanted[1] then leave(id, j) end  -- its lane is that of the first experiment that wants it
  if wanted[1] or not ready then j.v = table.concat(wanted, ' ') end
  if wanted[1] then
    call('HSET', key('j', id), 'v', j.v)
    if ready then enter(id, j) end
    if wished then keep(j) end
    return 'kept'
  end
  if j.s == 'RUNNING' then
    call('HSET', key('j', id), 'v', '')
    if j.st ~= 'kill' then call('HSET', key('j', id), 'st', 'cancel', 'by', signature()) end
    rq_stop(j, id)
    return 'stopping'
  end
  local from = j.s
  if awaited(j.h) == 1 then count(j.e, 'held', -1) end
  if j.rr and j.un then
    j.h = ''
    call('HSET', key('j', id), 'h', '')
    look_again(id, j, signed('kept: cancelled'))
    return 'cancelled'
  end
  if j.rr then restore(id, j, signed('kept: cancelled'), 'v', '', 'h', '')
  else move(id, j, 'CANCELLED', signed('cancelled'), 't2', now, 'v', '', 'h', '') end
  spread(id, from, j.s)
  return 'cancelled'
end)
for _, word in ipairs(words) do counts[word] = (counts[word] or 0) + 1 end
return { counts.cancelled, counts.stopping, counts.kept }
