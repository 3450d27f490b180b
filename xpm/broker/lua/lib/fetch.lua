-- fetch: numbered calls of a worker, and the grant of its next job. Needs base, rq, graph.
-- ARGV: 2 worker, 3 number of the call in this worker's life, 4 lease in ms, 5 slots 'queue:class ...'
-- (empty: fetch nothing).
local worker, number, lease, slots = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]

-- What a worker must know to run the job that execution `x` was granted for.
local function grant(id, x)
  local v = call('HMGET', key('j', id), 'd', 't', 'x', 'f', 'a', 'c', 'q', 's', 'n', 'l')
  if v[8] ~= 'RUNNING' or tonumber(v[3]) ~= x then return '' end
  local fences, count = {}, tonumber(v[9])
  local inputs = call('GETRANGE', key('in', id), 0, 250 * 16 - 1)
  for i = 0, #inputs / 16 - 1 do
    fences[i + 1] = call('HGET', key('j', hex(string.sub(inputs, i * 16 + 1, i * 16 + 16))), 'f') or ''
  end
  return cmsgpack.pack({ id .. v[1], v[2], x, v[4], tonumber(v[5]), call('GET', key('p', id)) or '', v[6], v[7],
    count, fences, v[10] })
end

-- The reply to an equal number is given again; a smaller number has no effect.
local function replayed()
  local v = call('HMGET', key('w', worker), 'n', 'o', 'g', 'x')
  local last = tonumber(v[1] or 0)
  if number > last then return nil end
  if number < last then return { 'stale', '', 0 } end
  return { v[2], (v[3] and v[3] ~= '') and grant(v[3], tonumber(v[4])) or '', call('LLEN', P .. 'todo') }
end

-- Outcome of the report, the granted job, and how much of the continuation list is left (call again at once).
local function answer(outcome, id, x)
  call('HSET', key('w', worker), 'n', number, 'o', outcome, 'g', id or '', 'x', x or 0)
  return { outcome, id and grant(id, x) or '', call('LLEN', P .. 'todo') }
end

local function start(id, j)
  call('ZREM', ready_key(j), id)
  local x = j.x + 1
  local meta = call('HMGET', P .. 'meta', 'epoch')
  local fence = string.format('%010d%016d', tonumber(meta[1] or 0), call('HINCRBY', P .. 'meta', 'fence', 1))
  call('HSET', key('j', id), 'x', x, 'f', fence, 'u', worker, 't1', now, 'ln', 0)
  call('HINCRBY', key('j', id), 'a', 1)
  call('ZADD', P .. 'leases', now + lease, id)
  call('HSET', key('w', worker), 'j', id)
  move(id, j, 'RUNNING')
  rq_started(id, j, worker, fence)
  return x
end

-- RQ's list is a window: when stock tools have emptied it, show the next jobs.
local function refill(slot)
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
  local chosen, chosen_job, chosen_score, chosen_slot, chosen_queue
  for slot in string.gmatch(slots, '%S+') do
    local q = string.match(slot, '^(.*):')
    if chosen and q ~= chosen_queue then break end
    local id, j, rank = top(slot)
    if id and (not chosen or rank < chosen_score) then
      chosen, chosen_job, chosen_score, chosen_slot, chosen_queue = id, j, rank, slot, q
    end
  end
  return chosen, chosen_job, chosen_slot
end

local function seen()
  call('HSET', key('w', worker), 'seen', now)
  call('ZADD', P .. 'workers', now, worker)
  call('PEXPIRE', key('w', worker), 86400000)
  if call('EXISTS', 'rq:worker:' .. worker) == 1 then
    call('HSET', 'rq:worker:' .. worker, 'last_heartbeat', iso_now())
    call('EXPIRE', 'rq:worker:' .. worker, 480)
  end
end

-- Grant the next job, or register the worker as idle so that the next ready job rings it.
local function fetch(outcome)
  drain()
  seen()
  if slots == '' then return answer(outcome) end
  call('DEL', key('bell', worker))
  for slot in string.gmatch(slots, '%S+') do call('ZREM', key('idle', slot), worker) end
  local id, j, slot
  if call('EXISTS', 'rq:suspended') == 0 then id, j, slot = best() end
  local rest = call('LLEN', P .. 'todo') > 0
  if rest then
    for other in string.gmatch(slots, '%S+') do ring(string.match(other, '^(.*):(.*)$')) end
  end
  if id then
    local x = start(id, j)
    refill(slot)
    return answer(outcome, id, x)
  end
  if not rest then
    call('HSET', key('w', worker), 'i', slots)
    for other in string.gmatch(slots, '%S+') do call('ZADD', key('idle', other), now, worker) end
  end
  return answer(outcome)
end
