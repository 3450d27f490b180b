-- rq: the projection into RQ's keys. Nothing here decides anything; all of it may be deleted and is repaired.
-- Windows: `rq:queue:*` shows the first 1,000 ready jobs, the registries the newest 10,000 jobs of a queue.
local NS = string.sub(P, 5, -2)
local QUEUE_WINDOW, WINDOW = 1000, 10000
local CALL = '\148\183xpm_workers.execute.run\192\145\217\032'  -- msgpack of ["...run", nil, [id], {}]

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

local stamp
local function iso_now()
  stamp = stamp or iso(now)
  return stamp
end

local function rq_hash(id, j, status, ...)
  local name = 'rq:job:' .. rq_id(id)
  call('HSET', name, 'data', CALL .. id .. '\128', 'origin', rq_queue(j.q), 'description', j.l, 'timeout', '-1',
    'result_ttl', '-1', 'status', status, ...)
  call('HSETNX', name, 'created_at', iso_now())
end

-- Enter a registry's window; the oldest entry beyond it leaves with its hash.
local function rq_enter(registry, id, q, score)
  local name = 'rq:' .. registry .. ':' .. rq_queue(q)
  if call('ZADD', name, score, rq_id(id)) == 1 and call('ZCARD', name) > WINDOW then
    local oldest = call('ZPOPMIN', name)[1]
    call('DEL', 'rq:job:' .. oldest, 'rq:results:' .. oldest)
  end
end

local function rq_leave(id, q, registry)
  call('ZREM', 'rq:' .. registry .. ':' .. rq_queue(q), rq_id(id))
end

local REGISTRY = { WAITING = 'deferred', HOLD = 'deferred', SCHEDULED = 'deferred',
  DONE = 'finished', ERROR = 'failed', CANCELLED = 'canceled', LOST = 'failed' }
local STATUS = { deferred = 'deferred', finished = 'finished', failed = 'failed', canceled = 'canceled' }
local TEN_YEARS = 315360000  -- registries are cleaned by score: entries of ours expire in ten years

local function rq_started(id, j, worker, fence)
  local text, seconds, mark = iso_now(), tostring(now / 1000), rq_id(id) .. ':' .. fence
  rq_hash(id, j, 'started', 'started_at', text, 'ended_at', '', 'last_heartbeat', text,
    'worker_name', worker)
  call('ZADD', 'rq:wip:' .. rq_queue(j.q), '+inf', mark)
  call('HSET', 'rq:execution:' .. mark, 'id', fence, 'job_id', rq_id(id), 'created_at', seconds,
    'last_heartbeat', seconds, 'worker_name', worker)
  call('ZADD', 'rq:executions:' .. rq_id(id), '+inf', fence)
  if call('EXISTS', 'rq:worker:' .. worker) == 1 then
    call('HSET', 'rq:worker:' .. worker, 'state', 'busy', 'current_job', rq_id(id), 'last_heartbeat', text)
    call('SADD', 'rq:worker:' .. worker .. ':executions', mark)
  end
end

-- `counter` is RQ's count of the worker's jobs that this end belongs to, if any.
local function rq_stopped(id, j, worker, fence, counter)
  local mark = rq_id(id) .. ':' .. fence
  call('ZREM', 'rq:wip:' .. rq_queue(j.q), mark)
  call('DEL', 'rq:execution:' .. mark, 'rq:executions:' .. rq_id(id))
  if call('EXISTS', 'rq:worker:' .. worker) == 1 then
    call('HSET', 'rq:worker:' .. worker, 'state', 'idle')
    call('HDEL', 'rq:worker:' .. worker, 'current_job')
    call('SREM', 'rq:worker:' .. worker .. ':executions', mark)
    if counter then call('HINCRBY', 'rq:worker:' .. worker, counter, 1) end
  end
end

-- Show job `id` as it is in state `to`, having been in `from`; RUNNING is shown by rq_started.
local function rq_show(id, j, from, to)
  local old, new = REGISTRY[from], REGISTRY[to]
  local queue = 'rq:queue:' .. rq_queue(j.q)
  if old and old ~= new then rq_leave(id, j.q, old) end
  if from == 'READY' then call('LREM', queue, 1, rq_id(id)) end
  if to == 'READY' then
    if call('LLEN', queue) < QUEUE_WINDOW then
      rq_hash(id, j, 'queued', 'enqueued_at', iso_now())
      call('RPUSH', queue, rq_id(id))
    else
      call('DEL', 'rq:job:' .. rq_id(id))
    end
  elseif new then
    if new == 'deferred' then rq_hash(id, j, 'deferred') else rq_hash(id, j, STATUS[new], 'ended_at', iso_now()) end
    local seconds = math.floor(now / 1000)
    rq_enter(new, id, j.q, (new == 'finished' or new == 'failed') and seconds + TEN_YEARS or seconds)
  end
end
