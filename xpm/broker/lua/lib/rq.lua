-- rq: the projection into RQ's keys, which nothing else writes (one file, so that it is over 80 lines). Needs base, dates.
-- Nothing here decides anything; all of it may be deleted and is repaired.
-- Windows: `rq:queue:*` shows the first 1,000 ready jobs, the registries the newest 10,000 jobs of a queue.
local NS = string.sub(P, 5, -2)
local QUEUE_WINDOW, WINDOW = 1000, 10000
local CALL = '\148\183xpm_workers.execute.run\192\145\217\032'  -- msgpack of ["...run", nil, [id], {}], up to the id
local REGISTRY = { WAITING = 'deferred', HOLD = 'deferred', SCHEDULED = 'deferred',
  DONE = 'finished', ERROR = 'failed', CANCELLED = 'canceled', LOST = 'failed' }
local STATUS = { WAITING = 'deferred', HOLD = 'deferred', SCHEDULED = 'deferred', READY = 'queued', RUNNING = 'started',
  DONE = 'finished', ERROR = 'failed', CANCELLED = 'canceled', LOST = 'failed' }
local TEN_YEARS = 315360000  -- registries are cleaned by score: entries of ours expire in ten years

local function rq_id(id)
  return NS .. '-' .. id
end

local function rq_queue(q)
  return 'xpm-' .. NS .. '-' .. q
end

local function rq_list(q)
  return 'rq:queue:' .. rq_queue(q)
end

local function rq_registry(registry, q)
  return 'rq:' .. registry .. ':' .. rq_queue(q)
end

-- Queues that RQ's tools list.
local function rq_announce(q)
  call('SADD', 'rq:queues', rq_list(q))
end

-- Whether the hash of a job is there and says that the job is in `state`.
local function rq_true(id, j, state)
  local hash = call('HMGET', 'rq:job:' .. rq_id(id), 'status', 'origin', 'data')
  return hash[1] == STATUS[state] and hash[2] == rq_queue(j.q) and hash[3]
end

-- Write a job's hash: whole, or (`known`: it may be there) only what changed.
local function rq_hash(id, j, known, ...)
  local name = 'rq:job:' .. rq_id(id)
  if known and call('EXISTS', name) == 1 then
    call('HSET', name, ...)
  else
    call('HSET', name, 'data', CALL .. id .. '\128', 'origin', rq_queue(j.q), 'description', j.l, 'timeout', '-1',
      'result_ttl', '-1', 'created_at', at(j.t0), ...)
  end
end

local function rq_drop(member)
  call('DEL', 'rq:job:' .. member, 'rq:results:' .. member)
end

-- Enter a job into a registry; what leaves the registry's window goes with its hash.
local sizes = {}
local function rq_enter(name, score, id)
  local added = call('ZADD', name, score, rq_id(id))
  sizes[name] = sizes[name] and sizes[name] + added or call('ZCARD', name)
  if sizes[name] <= WINDOW then return end
  local gone = call('ZPOPMIN', name, math.min(sizes[name] - WINDOW, 500))
  for i = 1, #gone, 2 do rq_drop(gone[i]) end
  sizes[name] = sizes[name] - #gone / 2
end

local function rq_leave(name, id)
  local removed = call('ZREM', name, rq_id(id))
  if sizes[name] then sizes[name] = sizes[name] - removed end
end

local lengths = {}
local function rq_unlist(id, q)
  local name = rq_list(q)
  local removed = call('LREM', name, 1, rq_id(id))
  if lengths[name] then lengths[name] = lengths[name] - removed end
  return removed > 0
end

local function rq_enlist(id, j, known)
  local name = rq_list(j.q)
  lengths[name] = lengths[name] or call('LLEN', name)
  if lengths[name] < QUEUE_WINDOW then
    rq_hash(id, j, known, 'status', 'queued', 'enqueued_at', at(now))
    call('RPUSH', name, rq_id(id))
    lengths[name] = lengths[name] + 1
  elseif known then
    rq_drop(rq_id(id))
  end
end

-- Show job `id`, which left state `from` (nil: it is new) for `to`. RUNNING is entered by rq_started. `since`: when it
-- came to `to`, if not now.
local function rq_show(id, j, from, to, since)
  local old, new = REGISTRY[from], REGISTRY[to]
  if from == 'READY' then rq_unlist(id, j.q) end
  if old and old ~= new then rq_leave(rq_registry(old, j.q), id) end
  if to == 'READY' then rq_enlist(id, j, from) end
  if not new then return end
  local name, seconds = rq_registry(new, j.q), math.floor((since or now) / 1000)
  if new == 'deferred' then
    rq_hash(id, j, from, 'status', 'deferred')
    rq_enter(name, seconds, id)
  else
    rq_hash(id, j, from, 'status', STATUS[to], 'ended_at', at(since or now))
    rq_enter(name, new == 'canceled' and seconds or seconds + TEN_YEARS, id)
  end
end

local function rq_started(id, j, known, since)
  rq_hash(id, j, known, 'status', 'started', 'started_at', at(since or now), 'ended_at', '', 'last_heartbeat', at(now),
    'worker_name', j.u)
  call('ZADD', rq_registry('wip', j.q), '+inf', rq_id(id) .. ':' .. j.f)
end

local function rq_stopped(id, j)
  call('ZREM', rq_registry('wip', j.q), rq_id(id) .. ':' .. j.f)
end

-- Take a job out of all that RQ shows of it, whatever that is.
local function rq_hide(id, j)
  call('LREM', rq_list(j.q), 0, rq_id(id))
  for _, registry in ipairs({ 'deferred', 'finished', 'failed', 'canceled' }) do rq_leave(rq_registry(registry, j.q), id) end
  rq_stopped(id, j)
end

local function rq_failed(id, worker, text)
  call('XADD', 'rq:results:' .. rq_id(id), 'MAXLEN', '10', '*', 'type', '2', 'worker_name', worker, 'exc_string', text)
end

-- What a worker does now, for those who look at workers; `counter`: RQ's count of its ended jobs to raise.
local function rq_worker(worker, id, fence, counter)
  local name = 'rq:worker:' .. worker
  if call('EXISTS', name) == 0 then return end
  call('DEL', name .. ':executions')
  if id then
    call('HSET', name, 'state', 'busy', 'current_job', rq_id(id))
    call('SADD', name .. ':executions', rq_id(id) .. ':' .. fence)
  else
    call('HSET', name, 'state', 'idle')
    call('HDEL', name, 'current_job')
  end
  if counter then call('HINCRBY', name, counter, 1) end
end

local function rq_heartbeat(worker, id)
  local name = 'rq:worker:' .. worker
  if call('EXISTS', name) == 1 then
    call('HSET', name, 'last_heartbeat', at(now))
    call('EXPIRE', name, 480)
  end
  name = id and 'rq:job:' .. rq_id(id)
  if name and call('EXISTS', name) == 1 then call('HSET', name, 'last_heartbeat', at(now)) end
end

local function rq_stop(worker, id)
  call('PUBLISH', 'rq:pubsub:' .. worker, cjson.encode({ command = 'stop-job', job_id = rq_id(id) }))
end

local function rq_suspended()
  return call('EXISTS', 'rq:suspended') == 1
end
