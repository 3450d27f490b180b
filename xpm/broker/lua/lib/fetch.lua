-- fetch: numbered calls of a worker, and the grant of its next job. Needs base, rq, graph.
-- ARGV: 2 worker, 3 number of the call in this worker's life, 4 lease in ms, 5 slots 'queue:class ...'
-- (empty: fetch nothing).
local worker, number, lease, slots = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local life = call('HMGET', key('w', worker), 'n', 'o', 'g', 'x', 'i', 'seen')
local ended  -- RQ's counter of the worker's ended jobs that this call raises

-- What a worker must know to run the job.
local function grant(id, j)
  local fences = {}
  if j.n > 0 then
    for i, input in ipairs(inputs(id, j.n, 0, math.min(j.n, 250))) do
      fences[i] = call('HGET', key('j', input), 'f') or ''
    end
  end
  return cmsgpack.pack({ id .. j.d, j.t, j.x, j.f, j.a, call('GET', key('p', id)) or '', j.c, j.q, j.n, fences, j.l })
end

-- A call with the last number gets the last reply again; one with a smaller number has no effect.
local function replayed()
  local last = tonumber(life[1] or 0)
  if number > last then return nil end
  if number < last then return { 'stale', '', 0 } end
  local j = life[3] and life[3] ~= '' and load(life[3])
  local same = j and j.s == 'RUNNING' and j.x == tonumber(life[4])
  return { life[2], same and grant(life[3], j) or '', call('LLEN', P .. 'todo') }
end

-- Outcome of the report, the granted job, and whether the caller should call again at once.
local function answer(outcome, id, j, more)
  call('HSET', key('w', worker), 'n', number, 'o', outcome, 'g', id or '', 'x', id and j.x or 0, 'seen', now)
  if now - tonumber(life[6] or 0) > 3000 then
    call('ZADD', P .. 'workers', now, worker)
    call('PEXPIRE', key('w', worker), 86400000)
    if call('EXISTS', 'rq:worker:' .. worker) == 1 then
      call('HSET', 'rq:worker:' .. worker, 'last_heartbeat', at(now))
      call('EXPIRE', 'rq:worker:' .. worker, 480)
    end
  end
  if id or (life[3] and life[3] ~= '') then rq_worker(worker, id, id and j.f, ended) end
  flush()
  return { outcome, id and grant(id, j) or '', more and 1 or 0 }
end

local function start(id, j)
  j.f = string.format('%010d%016d', tonumber(call('HGET', P .. 'meta', 'epoch') or 0),
    call('HINCRBY', P .. 'meta', 'fence', 1))
  j.x, j.a, j.u = j.x + 1, j.a + 1, worker
  move(id, j, 'RUNNING', '', 'x', j.x, 'f', j.f, 'u', worker, 't1', now, 'ln', 0, 'a', j.a)
  call('ZADD', P .. 'leases', now + lease, id)
  rq_started(id, j, worker, j.f)
end

-- RQ's list is a window: when it is empty, show the next jobs.
local function rewindow(slot)
  local q = string.match(slot, '^(.*):')
  if call('LLEN', 'rq:queue:' .. rq_queue(q)) > 0 then return end
  for _, id in ipairs(call('ZRANGE', key('ready', slot), 0, 49)) do
    local j = load(id)
    if j and j.s == 'READY' then rq_show(id, j, nil, 'READY') end
  end
end

-- The first job of a slot that is really ready, with its score; entries that are not are dropped.
local function top(slot)
  for _ = 1, 16 do
    local v = call('ZRANGE', key('ready', slot), 0, 0, 'WITHSCORES')
    if not v[1] then return nil end
    local j = load(v[1])
    if j and j.s == 'READY' then return v[1], j, tonumber(v[2]) end
    call('ZREM', key('ready', slot), v[1])
  end
end

-- The best ready job of the first queue that has one.
local function best()
  local id, j, rank, queue, from
  for slot in string.gmatch(slots, '%S+') do
    local q = string.match(slot, '^(.*):')
    if id and q ~= queue then break end
    local other, other_job, other_rank = top(slot)
    if other and (not id or other_rank < rank) then id, j, rank, queue, from = other, other_job, other_rank, q, slot end
  end
  return id, j, from
end

-- Grant the next job, or register the worker as idle so that the next ready job rings it.
local function fetch(outcome)
  local more = drain()
  if slots == '' then return answer(outcome, nil, nil, more) end
  if life[5] and life[5] ~= '' then
    call('DEL', key('bell', worker))
    for slot in string.gmatch(life[5], '%S+') do call('ZREM', key('idle', slot), worker) end
    call('HSET', key('w', worker), 'i', '')
  end
  local id, j, slot
  if call('EXISTS', 'rq:suspended') == 0 then id, j, slot = best() end
  if more then
    for other in string.gmatch(slots, '%S+') do ring(other) end
  end
  if id then
    start(id, j)
    if j.unlisted then rewindow(slot) end
  elseif not more then
    call('HSET', key('w', worker), 'i', slots)
    for other in string.gmatch(slots, '%S+') do call('ZADD', key('idle', other), now, worker) end
  end
  return answer(outcome, id, j, more)
end
