-- rq: the projection into RQ's keys: jobs (one file, so that it is over 80 lines). Needs base, dates.
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
  local name, seconds = rq_registry(new, j.q), (since or now) / 1000
  if new == 'deferred' then
    rq_hash(id, j, from, 'status', 'deferred')
    rq_enter(name, seconds, id)
  else
    rq_hash(id, j, from, 'status', STATUS[to], 'ended_at', at(since or now))
    rq_enter(name, new == 'canceled' and seconds or seconds + TEN_YEARS, id)
  end
end
