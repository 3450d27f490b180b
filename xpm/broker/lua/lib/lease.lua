-- lease: the end of an execution, however it comes. Needs outside, rqlive.
local CRASHES = 3  -- so many workers lost with a job are enough

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
  if j.st then call('HDEL', key('j', id), 'st') end
end

-- An execution is over and the job is not done: where now? A stop that somebody asked for decides first.
-- Further fields to set may follow.
local function unfinished(id, j, to, why, ...)
  unlease(id, j)
  if j.st == 'cancel' and j.v == '' then to, why = 'CANCELLED', 'cancelled'
  elseif j.st == 'cancel' then to, why = nil, 'wanted again' end
  if to then
    move(id, j, to, why, 't2', now, ...)
    settle(id, 0, to)
  else
    place(id, j, why, ...)
  end
end

-- A worker was lost with the job: it runs again, until it has taken CRASHES workers with it.
local function lost(id, j, why)
  local crashes = j.cr + 1
  if crashes < CRASHES then
    unfinished(id, j, nil, why, 'cr', crashes)
    return
  end
  call('SET', key('err', id), cmsgpack.pack({ kind = 'lost', type = 'WorkerLost',
    message = crashes .. ' executions of this job ended without a word; the last: ' .. why, traceback = '' }))
  unfinished(id, j, 'ERROR', why, 'cr', crashes)
end
