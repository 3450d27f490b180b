-- rqlive: the projection into RQ's keys: executions, workers, what repairs look at (over 80 lines). Needs rq.

local function rq_execution(id, fence)
  return rq_id(id) .. ':' .. fence
end

local function rq_started(id, j, known, since)
  if j.x > 1 then
    rq_hash(id, j, known, 'status', 'started', 'started_at', at(since or now), 'worker_name', j.u, 'ended_at', '')
  else
    rq_hash(id, j, known, 'status', 'started', 'started_at', at(since or now), 'worker_name', j.u)
  end
  local execution = rq_execution(id, j.f)
  call('ZADD', rq_registry('wip', j.q), '+inf', execution)
  call('HSET', 'rq:execution:' .. execution, 'created_at', (since or now) / 1000, 'last_heartbeat', now / 1000,
    'worker_name', j.u)
end

local function rq_stopped(id, j)
  local execution = rq_execution(id, j.f)
  call('ZREM', rq_registry('wip', j.q), execution)
  call('DEL', 'rq:execution:' .. execution)
end

local REGISTRIES = { 'deferred', 'finished', 'failed', 'canceled' }

-- Whether a job is in RQ's registry `own` (nil: in none), and in no other. RQ puts the refused job of a stock worker among
-- the failed ones, where it would stay when it runs elsewhere and ends.
local function rq_alone(id, q, own)
  for _, registry in ipairs(REGISTRIES) do
    local listed = call('ZSCORE', rq_registry(registry, q), rq_id(id))
    if (registry == own) ~= (listed and true or false) then return false end
  end
  return true
end

-- Whether RQ shows a job of state `state` (READY: one that waits for tokens) as it should, and nowhere else.
local function rq_shown(id, j, state)
  if not rq_true(id, j, state == 'READY' and 'WAITING' or state) then return false end
  if not rq_alone(id, j.q, rq_registry_of(j, state)) then return false end
  if state ~= 'RUNNING' then return true end
  local execution = rq_execution(id, j.f)
  return call('ZSCORE', rq_registry('wip', j.q), execution) and call('EXISTS', 'rq:execution:' .. execution) == 1
end

-- Take a job out of all that RQ shows of it, whatever that is.
local function rq_hide(id, j)
  rq_resize(rq_list(j.q), -call('LREM', rq_list(j.q), 0, rq_id(id)))
  for _, registry in ipairs(REGISTRIES) do rq_leave(rq_registry(registry, j.q), id) end
  rq_stopped(id, j)
end

local function rq_failed(id, worker, text)
  call('XADD', 'rq:results:' .. rq_id(id), 'MAXLEN', '10', '*', 'type', '2', 'worker_name', worker, 'exc_string', text)
end

-- What a worker does now, for those who look at workers; `ended`: how its job has, if it did; `busy`: it had a job before.
local function rq_worker(worker, id, fence, ended, busy)
  local name = 'rq:worker:' .. worker
  if call('EXISTS', name) == 0 then return end
  call('DEL', name .. ':executions')
  if id then
    call('HSET', name, 'current_job', rq_id(id))
    if not busy then call('HSET', name, 'state', 'busy') end
    call('SADD', name .. ':executions', rq_execution(id, fence))
  else
    call('HSET', name, 'state', 'idle')
    call('HDEL', name, 'current_job')
  end
  if ended then call('HINCRBY', name, ended == 'done' and 'successful_job_count' or 'failed_job_count', 1) end
end

-- RQ's tools see a worker of ours that lives, whoever has deleted what they see of it; RQ's own do that themselves.
local function rq_revive(worker, name)
  local v = call('HMGET', key('w', worker), 'slots', 'host', 'pid', 'born', 'g', 'rq')
  if not v[1] or v[6] or string.sub(worker, 1, #NS + 1) ~= NS .. '.' then return end
  local queues = {}
  for q in string.gmatch(v[1], '([^: ]+):%d+') do
    q = rq_queue(q == '*' and 'default' or q)
    if not queues[q] then
      queues[q], queues[#queues + 1] = true, q
      call('SADD', 'rq:workers:' .. q, name)
    end
  end
  call('SADD', 'rq:workers', name)
  if call('EXISTS', name) == 1 then return end
  call('HSET', name, 'birth', at(tonumber(v[4])), 'queues', table.concat(queues, ','), 'hostname', v[2], 'pid', v[3],
    'state', v[5] == '' and 'idle' or 'busy')
  if v[5] ~= '' then call('HSET', name, 'current_job', rq_id(v[5])) end
end

local function rq_heartbeat(worker, id)
  local name = 'rq:worker:' .. worker
  rq_revive(worker, name)
  if call('EXISTS', name) == 1 then
    call('HSET', name, 'last_heartbeat', at(now))
    call('EXPIRE', name, 480)
  end
  name = id and 'rq:job:' .. rq_id(id)
  if name and call('EXISTS', name) == 1 then call('HSET', name, 'last_heartbeat', at(now)) end
end

-- Said of this execution, since it may be heard when the next one runs on the same worker.
local function rq_stop(j, id)
  call('PUBLISH', 'rq:pubsub:' .. j.u, cjson.encode({ command = 'stop-job', job_id = rq_id(id), fence = j.f }))
end

-- Whether RQ's workers are suspended, or one of these keys is there.
local function rq_hindered(...)
  return call('EXISTS', 'rq:suspended', ...) > 0
end

-- RQ's list of a queue shows nothing. Returns 1 if it showed something before.
local function rq_empty(q)
  return call('DEL', rq_list(q))
end

-- Whether one of RQ's own workers serves a queue. (A horse that outlived its worker leaves a hash of counters, for ever.)
local function rq_attended(q)
  local own = 'rq:worker:' .. NS .. '.'
  for _, worker in ipairs(call('SMEMBERS', 'rq:workers:' .. rq_queue(q))) do
    if string.sub(worker, 1, #own) ~= own and call('HEXISTS', worker, 'last_heartbeat') == 1 then return true end
  end
  return false
end

local function rq_suspended()
  return call('EXISTS', 'rq:suspended') == 1
end
