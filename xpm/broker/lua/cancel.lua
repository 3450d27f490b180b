-- cancel: an experiment does not want these jobs any more. Use: base rq graph
-- ARGV: 2 experiment's serial, 3 packed list of jobs (at most 250).
-- A job that no experiment wants is CANCELLED; a running one is asked to stop. Returns {cancelled, stopping, kept}.
local cancelled, stopping, kept = 0, 0, 0
for _, id in ipairs(cmsgpack.unpack(ARGV[3])) do
  local j = load(id)
  if j and (STARTABLE[j.s] or j.s == 'RUNNING') then
    local wanted = {}
    for experiment in string.gmatch(j.v, '%S+') do
      if experiment ~= ARGV[2] then wanted[#wanted + 1] = experiment end
    end
    call('HSET', key('j', id), 'v', table.concat(wanted, ' '))
    if #wanted > 0 then
      kept = kept + 1
    elseif j.s == 'RUNNING' then
      call('HSET', key('j', id), 'st', 'cancel')
      call('PUBLISH', 'rq:pubsub:' .. j.u, cjson.encode({ command = 'stop-job', job_id = rq_id(id) }))
      stopping = stopping + 1
    else
      if j.s == 'READY' then call('ZREM', ready_key(j), id) end
      local was = j.s
      call('HSET', key('j', id), 't2', now)
      move(id, j, 'CANCELLED', 'cancelled')
      if edge_state(was) ~= '3' and call('EXISTS', key('out', id)) == 1 then call('RPUSH', P .. 'todo', 'S' .. id .. ':0') end
      cancelled = cancelled + 1
    end
  end
end
drain()
return { cancelled, stopping, kept }
