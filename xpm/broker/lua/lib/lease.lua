-- lease: the end of an execution, however it comes. Needs base, rq, graph.

-- The job, if `execution` still holds its lease; else nil.
local function held(id, execution)
  local j = load(id)
  if j and j.s == 'RUNNING' and j.x == tonumber(execution) then return j end
  return nil
end

-- Take the lease away: the job is in no worker any more.
local function unlease(id, j, counter)
  call('ZREM', P .. 'leases', id)
  call('HDEL', P .. 'progress', id)
  rq_stopped(id, j, j.u, call('HGET', key('j', id), 'f'), counter)
  call('HDEL', key('w', j.u), 'j')
  call('HDEL', key('j', id), 'st')
end

-- An execution is over and the job is not done: where now? A stop that somebody asked for decides first.
local function unfinished(id, j, to, why)
  unlease(id, j, to == 'ERROR' and 'failed_job_count' or nil)
  if j.st == 'cancel' and j.v == '' then to, why = 'CANCELLED', 'cancelled' end
  if j.st == 'kill' then to, why = 'ERROR', 'killed' end
  if to then
    call('HSET', key('j', id), 't2', now)
    move(id, j, to, why)
    settle(id, 0)
  else
    place(id, j, why)
  end
end

-- A worker was lost with the job: it runs again, until it has taken `limit` workers with it.
local CRASHES = 3
local function lost(id, j, why)
  local crashes = call('HINCRBY', key('j', id), 'cr', 1)
  if crashes >= CRASHES then
    call('SET', key('err', id), cmsgpack.pack({ kind = 'lost', type = 'WorkerLost',
      message = crashes .. ' workers were lost while they ran this job; last: ' .. why, traceback = '' }))
    unfinished(id, j, 'ERROR', 'its workers were lost')
  else
    unfinished(id, j, nil, why)
  end
end
