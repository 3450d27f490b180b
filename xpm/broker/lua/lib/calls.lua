-- calls: the numbered calls of a worker (with its head over 80 lines). Needs hindrances, due.
-- All return {outcome of the report, packed grant or '', whether to call again at once, for an idle worker in how many ms
-- a job may start that waits for its moment (or '')}, and the jobs for which the worker's pool gets no more, if that is so.
local life = call('HMGET', key('w', worker), 'n', 'o', 'g', 'x', 'i', 'b', 'beat', 'born', 'host', 'pool')
local had = life[3] and life[3] ~= '' and life[3]  -- the job that the last call granted
local host = life[9] or ''
local passed = {}  -- groups of which all was left to workers of other hosts: see hosts
local ended  -- how the worker's job has: 'done' or 'failed'

-- What a worker must know to run the job.
local function grant(id, j)
  local FENCES, fences = 250, {}
  if j.n > 0 then
    for i, input in ipairs(inputs(id, j.n, 0, math.min(j.n, FENCES))) do
      fences[i] = call('HGET', key('j', input), 'f') or ''
    end
  end
  return cmsgpack.pack({ id .. j.d, j.t, j.x, j.f, j.a, call('GET', key('p', id)) or '', j.c, j.q, j.n, fences, j.l,
    j.ry or '', j.rt, j.to or 0, j.ru or 0, j.rr or '', j.rs or '', j.ls, j.ev or '' })
end

-- A call with the last number gets the last reply again; one with a smaller number has no effect.
local function replayed()
  local last = tonumber(life[1] or 0)
  if number > last then return nil end
  if number < last then return { 'stale', '', 0, '' } end
  local j = had and load(had)
  local same = j and j.s == 'RUNNING' and j.x == tonumber(life[4])
  return { life[2], same and grant(had, j) or '', call('LLEN', P .. 'todo'), next_due() }
end

-- Every few seconds, and when it is idle: the worker lives. Those that nobody heard of for a day are forgotten.
local function beat()
  local DAY = 86400000
  call('HSET', key('w', worker), 'seen', now, 'beat', now)
  call('ZADD', P .. 'workers', now, worker)
  call('ZREMRANGEBYSCORE', P .. 'workers', '-inf', now - DAY)
  call('PEXPIRE', key('w', worker), DAY)
  rq_heartbeat(worker)
end

-- The worker stands in no line any more, or from now on in those of the slots `idle`. A bell that woke it has done its
-- duty only if the worker took a job from there; else it rings on.
local function line_up(idle, taken)
  local before, rung = life[5] or '', life[6] or ''
  if rung ~= '' then call('SREM', key('coming', rung), worker) end
  if rung ~= '' and rung ~= taken then offer(rung, idle == '') end
  if before ~= '' or rung ~= '' then call('DEL', key('bell', worker)) end
  if before ~= idle then
    for slot in string.gmatch(before, '%S+') do call('ZREM', key('idle', slot), worker) end
  end
  if before ~= idle or rung ~= '' then call('HSET', key('w', worker), 'i', idle, 'b', '') end
  for slot in string.gmatch(idle, '%S+') do call('ZADD', key('idle', slot), now, worker) end
  if rung == '' or rung == taken or passed[rung] or open_slots(rung) == '' then return end
  if startable(rung, idle ~= '') then ring(rung) end
end

local suspects  -- the jobs for which the worker's pool gets no more: see hosts

-- Reply, and remember it. `idle`: the slots for whose bell the worker waits.
local function answer(outcome, id, j, more, idle)
  local BEAT = 3000  -- ms
  call('HSET', key('w', worker), 'n', number, 'o', outcome, 'g', id or '', 'x', id and j.x or 0)
  line_up(idle, id and group_of(j))
  if id then pass_on((life[5] or '') ~= '' or (life[6] or '') ~= '') end
  local last = tonumber(life[7] or 0)
  if idle ~= '' or now - last > BEAT or now < last then beat() end
  if id or had then rq_worker(worker, id, id and j.f, ended, had) end
  flush()
  return { outcome, id and grant(id, j) or '', more and 1 or 0, idle ~= '' and next_due() or '', suspects }
end

-- Job `id` is the worker's: a new execution under a new fence. Returns whether RQ's list showed the job.
local function start(id, j)
  local listed = rq_unlist(id, j.q)
  if j.rs then listed = rq_leave(rq_registry('deferred', j.q), id) or listed end  -- a tool of RQ's may have listed it, too
  j.f = next_fence(epoch)
  j.x, j.a, j.u = j.x + 1, j.a + 1, worker
  move(id, j, 'RUNNING', '', 'x', j.x, 'f', j.f, 'u', worker, 't1', now, 'ln', 0, 'a', j.a)
  charge(group_of(j), j)
  if j.rs then spend(id, j.rs, host) end
  call('ZADD', P .. 'leases', now + lease, id)
  rq_started(id, j, listed)
  return listed
end
