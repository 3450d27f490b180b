-- rq: the projection into RQ's keys: jobs (one file, so that it is over 80 lines). Needs base, dates.
-- Nothing here decides anything; all of it may be deleted and is repaired.
-- Windows of a queue: 1,000 ready jobs, the first 10,000 waiting ones, about the last 10,000 of each that ended. Of
-- the waiting ones a transition shows the first 1,000 only; the sweeper adds the rest (repair).
local NS = string.sub(P, 5, -2)
local QUEUE_WINDOW, WINDOW = 1000, 10000
local REGISTRY = { WAITING = 'deferred', HOLD = 'deferred', SCHEDULED = 'deferred',
  DONE = 'finished', ERROR = 'failed', CANCELLED = 'canceled', LOST = 'failed' }
local STATUS = { WAITING = 'deferred', HOLD = 'deferred', SCHEDULED = 'deferred', READY = 'queued', RUNNING = 'started',
  DONE = 'finished', ERROR = 'failed', CANCELLED = 'canceled', LOST = 'failed' }

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

-- Write a job's hash: whole, or (`known`: it is there) only what changed.
local function rq_hash(id, j, known, ...)
  local CALL = '\148\183xpm_workers.execute.run\192\145\217\032'  -- msgpack of ["...run", nil, [id], {}], up to the id
  local name = 'rq:job:' .. rq_id(id)
  if known then
    call('HSET', name, ...)
    return
  end
  local whole = j.l and j or load(id)
  call('HSET', name, 'data', CALL .. id .. '\128', 'origin', rq_queue(j.q), 'description', whole.l, 'timeout', '-1',
    'result_ttl', '-1', 'created_at', at(whole.t0), ...)
end

local function rq_drop(member)
  call('DEL', 'rq:job:' .. member, 'rq:results:' .. member)
end

-- How many a registry or list has, as far as this call knows.
local function rq_size(name, command)
  here.sizes[name] = here.sizes[name] or call(command, name)
  return here.sizes[name]
end

local function rq_resize(name, by)
  if here.sizes[name] then here.sizes[name] = here.sizes[name] + by end
end

local function rq_leave(name, id)
  local removed = call('ZREM', name, rq_id(id))
  rq_resize(name, -removed)
  return removed > 0
end

local function rq_unlist(id, q)
  local removed = call('LREM', rq_list(q), 1, rq_id(id))
  rq_resize(rq_list(q), -removed)
  return removed > 0
end

-- RQ's list of a queue, and its registry of waiting jobs: what comes when the window is full is not shown.
local function rq_wait(id, j, known, name, size, limit, status, ...)
  if size >= limit then
    if known then rq_drop(rq_id(id)) end
    return false
  end
  rq_hash(id, j, known, 'status', status, ...)
  rq_resize(name, 1)
  return true
end

local function rq_enlist(id, j, known)
  local name = rq_list(j.q)
  if rq_wait(id, j, known, name, rq_size(name, 'LLEN'), QUEUE_WINDOW, 'queued', 'enqueued_at', at(now)) then
    call('RPUSH', name, rq_id(id))
  end
end

local function rq_defer(id, j, known, since, limit)
  local name = rq_registry('deferred', j.q)
  if rq_wait(id, j, known, name, rq_size(name, 'ZCARD'), limit, 'deferred') then
    call('ZADD', name, since / 1000, rq_id(id))
  end
end

-- The registries of ended jobs: the oldest leaves the window, with its hash. (Looked at now and then.)
local function rq_end(id, j, known, registry, status, since)
  local name = rq_registry(registry, j.q)
  rq_hash(id, j, known, 'status', status, 'ended_at', at(since))
  local TEN_YEARS = 315360000  -- registries are cleaned by score: entries of ours expire in ten years
  call('ZADD', name, registry == 'canceled' and since / 1000 or since / 1000 + TEN_YEARS, rq_id(id))
  if j.o % 8 > 0 then return end
  local beyond = call('ZCARD', name) - WINDOW
  local gone = beyond > 0 and call('ZPOPMIN', name, math.min(beyond, 500)) or {}
  for i = 1, #gone, 2 do rq_drop(gone[i]) end
end

-- The registry that shows a job of `state`. What waits for tokens is not in RQ's list before it may have them: a stock
-- worker would take it in vain.
local function rq_registry_of(j, state)
  if state == 'READY' and j.rs then return 'deferred' end
  return REGISTRY[state]
end

-- Show job `id`, which left state `from` (nil: it is new) for `to`. RUNNING is entered by rq_started. `since`: when it
-- came to `to`, if not now. `limit`: of the window of waiting jobs, if not QUEUE_WINDOW.
local function rq_show(id, j, from, to, since, limit)
  local old, new, known = rq_registry_of(j, from), rq_registry_of(j, to), from == 'RUNNING'
  local listed = from == 'READY' and rq_unlist(id, j.q)
  if from and old == new and not listed and not (known and to == 'READY') then return end  -- the same place, or none
  if listed then known = true elseif old then known = rq_leave(rq_registry(old, j.q), id) end
  if to == 'READY' and not new then rq_enlist(id, j, known)
  elseif new == 'deferred' then rq_defer(id, j, known, since or now, limit or QUEUE_WINDOW)
  elseif new then rq_end(id, j, known, new, STATUS[to], since or now) end
end
