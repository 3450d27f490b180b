-- control: what people do to jobs. Needs graph, rqlive.
-- ARGV: 2 who asks ('' if nobody in particular), 3 packed list of jobs (at most 100).
local WHO = ARGV[2]

local function signed(what)
  return WHO == '' and what or what .. ' by ' .. WHO
end

-- Who asked, and when, as the field `by` keeps it.
local function signature()
  return now .. ' ' .. WHO
end

-- Do something to each job that there is, and return its word for what became of it.
local function each(act)
  local words = {}
  for i, id in ipairs(cmsgpack.unpack(ARGV[3])) do
    local j = load(id)
    words[i] = j and act(id, j) or 'unknown'
  end
  finish_up()
  return words
end

-- The job has the reasons of HOLD `holds` from now on, and those that its needs give it.
local function hold_for(id, j, holds, why, ...)
  local by = held_by_person(holds) - held_by_person(j.h)
  if by ~= 0 then count(j.e, 'held', by) end
  j.h = holds
  call('HSET', key('j', id), 'h', holds, ...)
  place(id, j, why)
  if j.m ~= why and j.s == 'HOLD' then
    call('HSET', key('j', id), 'm', j.h == '' and 'dependency' or held_by_person(j.h) == 1 and why or j.h)
  end
end

-- The experiments that list the job.
local function listed_by(j)
  local wanted = {}
  for experiment in string.gmatch(j.e, '(%d+)%.%d+') do wanted[#wanted + 1] = experiment end
  return table.concat(wanted, ' ')
end
