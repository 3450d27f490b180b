-- lease: the end of an execution, however it comes (one file: over 80 lines). Needs outside, rqlive, retry.

-- The job, if `execution` still holds its lease (and `worker`, if given, is the holder); else nil.
local function held(id, execution, worker)
  local j = load(id)
  if j and j.s == 'RUNNING' and j.x == tonumber(execution) and (not worker or j.u == worker) then return j end
  return nil
end

-- The execution is over: the traces that it left outside the job's own fields.
local function unlease(id, j)
  rq_stopped(id, j)
  for name in string.gmatch(j.aq or '', '%S+') do drop(name) end
  for _, resource in ipairs(j.rs and refund(id, j.rs) or {}) do reopen(resource) end
  if j.ln ~= '0' then call('HDEL', P .. 'progress', id) end
  if j.st then call('HDEL', key('j', id), 'st', 'by') end
end

-- What happened to the job, and by whom, if somebody in particular asked for it.
local function asked(j, what)
  local who = string.match(j.by or '', '^%d+ (.+)')
  return who and what .. ' by ' .. who or what
end

local unsure = false  -- whether the worker is gone, and may have published a result

-- An execution is over and the job is not done: where now? A stop that somebody asked for decides first.
-- Further fields to set may follow.
local function unfinished(id, j, to, why, ...)
  unlease(id, j)
  if j.st == 'kill' then
    to, why = 'ERROR', asked(j, 'killed')
    call('SET', key('err', id), cmsgpack.pack({ kind = 'killed', type = 'Killed', message = asked(j, 'stopped'),
      traceback = '' }))
  elseif j.st == 'cancel' and j.v == '' then to, why = 'CANCELLED', asked(j, 'cancelled')
  elseif j.st == 'cancel' then to, why = nil, 'wanted again' end
  if to and j.rr and (unsure or j.un) then look_again(id, j, 'kept: ' .. why)
  elseif to and j.rr then
    restore(id, j, 'kept: ' .. why, ...)
    settle(id, 0, 'DONE')
  elseif to then
    move(id, j, to, why, 't2', now, ...)
    settle(id, 0, to)
  else
    place(id, j, why, ...)
    if unsure and j.rr then call('HSET', key('j', id), 'un', 1) end
  end
end

-- The job has had enough: the reason stands with it.
local function give_up(id, j, type, message, why, ...)
  call('SET', key('err', id), cmsgpack.pack({ kind = 'lost', type = type, message = message, traceback = '' }))
  unfinished(id, j, 'ERROR', why, ...)
end

-- Nobody knows what became of the execution: its worker went with its pool or host, or before the job had begun. That is
-- rarely the job's doing; but one that takes its hosts along must not do so for ever.
local function lost(id, j, why)
  local LOSSES, losses = 10, j.ls + 1
  if survives(j, losses, LOSSES) then
    unfinished(id, j, nil, why, 'ls', losses, 'nb', j.nb or 0)
  else
    give_up(id, j, 'HostLost', losses .. ' executions of this job ended with their pools or hosts; the last: ' .. why,
      'ended ' .. losses .. ' times with its pool or host: ' .. why, 'ls', losses)
  end
end

-- Different jobs that died one after the other as soon as they had begun: the host is to blame, not they.
local function suspect(id, j, pool)
  local SOON = 60000  -- a job that dies within so many ms of its start may die of the host
  if pool == '' or now - tonumber(j.t1 or 0) > SOON then return end
  local names = call('GET', key('sick', pool)) or ''
  if string.find(names, id, 1, true) then return end
  call('SET', key('sick', pool), names == '' and id or names .. ' ' .. id, 'PX', 86400000)
end

-- The job's process ended without a word, or with its zygote, or its worker did under a supervisor that lives on: the job
-- runs again, on another host if there is one (see `shunned`), until that has happened too often (see `retry`). `pool`: of
-- a process that died alone; one accident of a zygote ends many jobs, and must not pass for as many.
local function crashed(id, j, why, host, pool)
  local CRASHES, crashes = 3, j.cr + 1
  if pool then suspect(id, j, pool) end
  if survives(j, crashes, CRASHES) then
    unfinished(id, j, nil, why, 'cr', crashes, 'ah', host, 'ac', now, 'nb', j.nb or 0)
  else
    give_up(id, j, 'WorkerLost', crashes .. ' executions of this job ended without a word; the last: ' .. why,
      'ended ' .. crashes .. ' times without a word: ' .. why, 'cr', crashes, 'ah', host)
  end
end

-- The execution ended in nobody's name: as if it had not begun.
local function returned(id, j, why)
  unfinished(id, j, nil, why, 'a', j.a - 1)
end
