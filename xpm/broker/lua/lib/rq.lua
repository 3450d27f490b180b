-- rq: the projection into RQ's keys. Nothing here decides anything; all of it may be deleted and is repaired.
-- Windows: `rq:queue:*` shows the first 1,000 ready jobs, the registries the newest 10,000 jobs of a queue.
local NS = string.sub(P, 5, -2)
local QUEUE_WINDOW, WINDOW = 1000, 10000
local CALL = '\148\183xpm_workers.execute.run\192\145\217\032'  -- msgpack of ["...run", nil, [id], {}], up to the id
local REGISTRY = { WAITING = 'deferred', HOLD = 'deferred', SCHEDULED = 'deferred',
  DONE = 'finished', ERROR = 'failed', CANCELLED = 'canceled', LOST = 'failed' }
local STATUS = { deferred = 'deferred', finished = 'finished', failed = 'failed', canceled = 'canceled' }
local TEN_YEARS = 315360000  -- registries are cleaned by score: entries of ours expire in ten years

local function rq_id(id)
  return NS .. '-' .. id
end

local function rq_queue(q)
  return 'xpm-' .. NS .. '-' .. q
end

-- Days since 1970 to a date, after Howard Hinnant's civil_from_days.
local function iso(ms)
  local seconds = math.floor(ms / 1000)
  local z = math.floor(seconds / 86400) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local s = seconds % 86400
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03d000Z',
    year, month, day, math.floor(s / 3600), math.floor(s / 60) % 60, s % 60, ms % 1000)
end

local stamps = {}
local function at(ms)
  stamps[ms] = stamps[ms] or iso(ms)
  return stamps[ms]
end

local function rq_hash(id, j, status, ...)
  call('HSET', 'rq:job:' .. rq_id(id), 'data', CALL .. id .. '\128', 'origin', rq_queue(j.q), 'description', j.l,
    'timeout', '-1', 'result_ttl', '-1', 'created_at', at(j.t0), 'status', status, ...)
end

-- What left a registry's window goes with its hash.
local function rq_trim(registry)
  local beyond = call('ZCARD', registry) - WINDOW
  if beyond <= 0 then return end
  local gone = call('ZPOPMIN', registry, math.min(beyond, 500))
  for i = 1, #gone, 2 do call('DEL', 'rq:job:' .. gone[i], 'rq:results:' .. gone[i]) end
end

local function rq_registry(registry, q)
  return 'rq:' .. registry .. ':' .. rq_queue(q)
end

-- Show job `id`, which leaves state `from` (nil: unknown) for `to`. RUNNING is shown by rq_started.
local function rq_show(id, j, from, to)
  local old, new = REGISTRY[from], REGISTRY[to]
  local queue = 'rq:queue:' .. rq_queue(j.q)
  if old and old ~= new then call('ZREM', rq_registry(old, j.q), rq_id(id)) end
  if from == 'READY' then call('LREM', queue, 1, rq_id(id)) end
  if to == 'READY' then
    if call('LLEN', queue) < QUEUE_WINDOW then
      rq_hash(id, j, 'queued', 'enqueued_at', at(now))
      call('RPUSH', queue, rq_id(id))
    elseif from then
      call('DEL', 'rq:job:' .. rq_id(id))
    end
  elseif new == 'deferred' then
    rq_hash(id, j, 'deferred')
    call('ZADD', rq_registry(new, j.q), math.floor(now / 1000), rq_id(id))
    rq_trim(rq_registry(new, j.q))
  elseif new then
    rq_hash(id, j, STATUS[new], 'ended_at', at(now))
    local seconds = math.floor(now / 1000)
    call('ZADD', rq_registry(new, j.q), new == 'canceled' and seconds or seconds + TEN_YEARS, rq_id(id))
    rq_trim(rq_registry(new, j.q))
  end
end

local function rq_started(id, j, worker, fence)
  rq_hash(id, j, 'started', 'started_at', at(now), 'ended_at', '', 'last_heartbeat', at(now), 'worker_name', worker)
  call('ZADD', rq_registry('wip', j.q), '+inf', rq_id(id) .. ':' .. fence)
end

local function rq_stopped(id, j)
  call('ZREM', rq_registry('wip', j.q), rq_id(id) .. ':' .. (j.f or ''))
end

-- What a worker does now, for those who look at workers; `counter`: RQ's count of its ended jobs to raise.
local function rq_worker(worker, id, fence, counter)
  local name = 'rq:worker:' .. worker
  if call('EXISTS', name) == 0 then return end
  if id then
    call('HSET', name, 'state', 'busy', 'current_job', rq_id(id))
    call('DEL', name .. ':executions')
    call('SADD', name .. ':executions', rq_id(id) .. ':' .. fence)
  else
    call('HSET', name, 'state', 'idle')
    call('HDEL', name, 'current_job')
    call('DEL', name .. ':executions')
  end
  if counter then call('HINCRBY', name, counter, 1) end
end
