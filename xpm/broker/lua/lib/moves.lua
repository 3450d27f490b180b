-- moves: the only place where the state of a job changes. Needs rq, visits.
-- A script that moves jobs ends with flush(), which writes the counts, the events and the bells of the whole call.

local function count(runs, state, by)
  for run in string.gmatch(runs, '%S+') do
    local states = here.deltas[run] or {}
    here.deltas[run] = states
    states[state] = (states[state] or 0) + by
  end
end

-- Whether a person's is among the reasons of HOLD `holds`; and 1 if a person will take one away, by a release or by raising
-- a capacity, else 0: a run waits for these jobs, and counts them as `held`.
local function held_by_person(holds) return string.find(' ' .. holds .. ' ', ' person ', 1, true) ~= nil end
local function awaited(holds)
  return (held_by_person(holds) or string.find(' ' .. holds .. ' ', ' capacity ', 1, true)) and 1 or 0
end

-- New jobs of a call enter the index of their state together.
local function land()
  for state, pairs_of in pairs(here.arrivals) do
    for i = 1, #pairs_of, 1000 do call('ZADD', key('s', state), unpack(pairs_of, i, math.min(i + 999, #pairs_of))) end
  end
  here.arrivals = {}
end

local function arrive(state, id)
  local there = here.arrivals[state] or {}
  here.arrivals[state] = there
  there[#there + 1] = now
  there[#there + 1] = id
end

-- A job that may not start before `nb` waits for that moment. If it is the next of all, an idle worker is told.
local postponed = false
local function postpone(id, j)
  call('ZADD', P .. 'due', j.nb, id)
  if call('ZRANK', P .. 'due', id) == 0 then ring(slot_of(j)) end
  postponed = true
end

-- The job's index: READY jobs are in that of `ready`, RUNNING ones in `leases` (entered by who starts them), all others
-- in `s:<STATE>`, SCHEDULED ones in `due` too. Further fields to set may follow.
local function move(id, j, to, why, ...)
  local from = j.s
  if from then land() end
  if from == 'READY' then leave(id, j, to == 'RUNNING')
  elseif from == 'RUNNING' then call('ZREM', P .. 'leases', id)
  elseif from then call('ZREM', key('s', from), id) end
  if to == 'READY' then enter(id, j)
  elseif not from then arrive(to, id)
  elseif to ~= 'RUNNING' then call('ZADD', key('s', to), now, id) end
  if from == 'SCHEDULED' then call('ZREM', P .. 'due', id) end
  if to == 'SCHEDULED' then postpone(id, j) end
  if from then count(j.e, from, -1) end
  count(j.e, to, 1)
  j.r = j.r + 1
  call('HSET', key('j', id), 's', to, 'r', j.r, ...)
  if why ~= j.m then call('HSET', key('j', id), 'm', why) end
  here.transitions[#here.transitions + 1] = { id, to, j.r, j.e, why }
  if to ~= 'RUNNING' then rq_show(id, j, from, to) end
  j.s, j.m = to, why
end

local function flush()
  land()
  for run, states in pairs(here.deltas) do
    for state, by in pairs(states) do
      if by ~= 0 then call('HINCRBY', key('run', run), state, by) end
    end
  end
  if #here.transitions > 0 then
    call('XADD', P .. 'events', 'MAXLEN', '~', 100000, '*', 't', cmsgpack.pack(here.transitions))
  end
  serve_outside()
  peal()
  visit()
  here.deltas, here.transitions = {}, {}
end
