-- retry: what a job's budgets allow after an attempt that failed. Needs graph.
-- `ry` of a job is its policy, packed by `xpm.core.retries`: times, delay (ms), factor, longest delay (ms), jitter, causes.
-- `rt` counts the attempts that it granted, `cr` the crashes, `ls` the hosts and pools lost, `gt` the early ends of a task
-- that wants to be continued; `pg` is the best progress that a resumable task ever told.
local EARLY_ENDS = 10  -- so many times in a row may it end itself, each time soon, and get nowhere

-- The delay in ms before further attempt number `n`. A random share is left out: by the clock, since a script's own
-- random numbers are the same in each call.
local function pause(j, n)
  local delay, factor, most, jitter = string.match(j.ry, '^%d+ (%d+) (%S+) (%d+) (%S+)')
  local full = tonumber(delay)
  if full > 0 then full = math.min(tonumber(most), full * tonumber(factor) ^ (n - 1)) end
  local share = (now % 1000000 * 7919 + j.o * 104729) % 1000 / 1000
  return math.floor(full * (1 - tonumber(jitter) * share))
end

local function times(j)
  return tonumber(string.match(j.ry, '^%d+'))
end

-- The attempt failed by a cause that the job's policy covers: the fields to set for another, or nil without budget.
local function another(j)
  if not j.ry or j.rt >= times(j) then return nil end
  j.rt, j.nb = j.rt + 1, now + pause(j, j.rt + 1)
  return { 'rt', j.rt, 'nb', j.nb }
end

-- So many executions ended without a word: whether the job runs again. They are `enough` of them, unless its policy covers
-- what is lost: that gives more of them, and delays.
local function survives(j, ended, enough)
  local covered = j.ry and string.find(j.ry .. ' ', ' lost ', 1, true)
  if covered then j.nb = now + pause(j, ended) end
  return ended < math.max(enough, covered and times(j) + 1 or 0)
end

-- A task ended itself to be continued: how many times in a row it did so early and without progress.
local function early_ends(j)
  local EARLY = 60000  -- ms
  return now - tonumber(j.t1) < EARLY and tonumber(j.gt or 0) + 1 or 0
end

-- All budgets anew: after a success, and when somebody wants the job attempted again.
local function afresh(id, j)
  if j.cr + j.ls + j.rt > 0 or j.gt or j.pg or j.ah ~= '' then
    call('HDEL', key('j', id), 'cr', 'ls', 'ah', 'ac', 'rt', 'gt', 'pg')
  end
  j.cr, j.ls, j.ah, j.rt, j.gt, j.pg = 0, 0, '', 0, nil, nil
end

-- A rerun is given up of which an execution was lost that may have published a new result: whoever takes the job now finds
-- that, or the old one, and reports it.
local function look_again(id, j, why)
  call('HDEL', key('j', id), 'rr', 'un')
  call('DEL', key('err', id))
  afresh(id, j)
  j.rr, j.un = nil, nil
  local ready = j.s == 'READY'
  if ready then leave(id, j) end  -- its lane is that of the first experiment that wants it
  wanted_by(id, j, listed_by(j))
  if ready then enter(id, j) else place(id, j, why) end
end

-- An execution has begun after that one: it found the old result.
local function seen(id, j)
  if j.un then call('HDEL', key('j', id), 'un') end
  j.un = nil
end
