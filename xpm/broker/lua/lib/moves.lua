-- moves: the only place where the state of a job changes. Needs base, dates, rq.
-- A script that moves jobs ends with flush(), which writes the counts, the events and the bells of the whole call.
local deltas, transitions, bells = {}, {}, {}

local function count(runs, state, by)
  for run in string.gmatch(runs, '%S+') do
    local states = deltas[run] or {}
    deltas[run] = states
    states[state] = (states[state] or 0) + by
  end
end

local function slot_of(j)
  return j.q .. ':' .. j.k
end

-- Priority before order: 13 bits of priority above 40 bits of order fit a double exactly.
local function score(j)
  return j.o - j.p * 1099511627776
end

-- The job's index: READY jobs are in `ready:<slot>`, RUNNING ones in `leases` (entered by who starts them), all others
-- in `s:<STATE>`. Further fields to set may follow.
local function move(id, j, to, why, ...)
  local from = j.s
  if from == 'READY' then call('ZREM', key('ready', slot_of(j)), id)
  elseif from == 'RUNNING' then call('ZREM', P .. 'leases', id)
  elseif from then call('ZREM', key('s', from), id) end
  if to == 'READY' then call('ZADD', key('ready', slot_of(j)), score(j), id)
  elseif to ~= 'RUNNING' then call('ZADD', key('s', to), now, id) end
  if from then count(j.e, from, -1) end
  count(j.e, to, 1)
  j.r = j.r + 1
  call('HSET', key('j', id), 's', to, 'r', j.r, ...)
  if why ~= j.m then call('HSET', key('j', id), 'm', why) end
  transitions[#transitions + 1] = { id, to, j.r, j.e, why }
  if to ~= 'RUNNING' then rq_show(id, j, from, to) end
  j.s, j.m = to, why
end

-- A job of the slot may start: the end of the call wakes a worker for it.
local function ring(slot)
  bells[slot] = (bells[slot] or 0) + 1
end

local SILENT = 30000  -- an idle worker calls every few seconds; one that was not heard of for so long gets no bell

-- Wake the worker that is idle for longest, one that serves just some queues before one that serves all; false if
-- there is none. The slot is remembered: if the worker takes another job or goes, it passes the bell on.
local function wake(slot)
  for _ = 1, 100 do
    local worker = call('ZPOPMIN', key('idle', slot))[1] or call('ZPOPMIN', key('idle', '*'))[1]
    if not worker then return false end
    local v = call('HMGET', key('w', worker), 'i', 'seen')
    for other in string.gmatch(v[1] or '', '%S+') do call('ZREM', key('idle', other), worker) end
    local fit = v[1] and v[1] ~= '' and now - tonumber(v[2] or 0) < SILENT
    if v[1] then call('HSET', key('w', worker), 'i', '', 'b', fit and slot or '') end
    if fit then
      call('RPUSH', key('bell', worker), '1')
      call('PEXPIRE', key('bell', worker), 60000)
      return true
    end
  end
  return false
end

local function flush()
  for run, states in pairs(deltas) do
    for state, by in pairs(states) do
      if by ~= 0 then call('HINCRBY', key('run', run), state, by) end
    end
  end
  if #transitions > 0 then
    call('XADD', P .. 'events', 'MAXLEN', '~', 100000, '*', 't', cmsgpack.pack(transitions))
  end
  for slot, rings in pairs(bells) do
    while rings > 0 and wake(slot) do rings = rings - 1 end
  end
  deltas, transitions, bells = {}, {}, {}
end
