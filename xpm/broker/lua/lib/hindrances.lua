-- hindrances: what keeps ready jobs from being granted, beside nothing. Needs holds, rqlive, slots.
-- RQ's suspension of all; paused queues; workers that are to end; tasks whose jobs failed alike lately, and the brake.
-- Nearly always there is none of them, and one look at the names says so. And inputs of which the jobs have not heard yet
-- that they are to run again.
local hindered = rq_hindered(P .. 'paused', P .. 'dismissed', P .. 'failing', P .. 'brakes')

-- Those of `wanted`, slots or groups in a text, whose jobs may be granted.
local function open_slots(wanted)
  if not hindered then return wanted end
  if rq_suspended() then return '' end
  local open = {}
  for slot in string.gmatch(wanted, '%S+') do
    if call('HEXISTS', P .. 'paused', string.match(slot, '^[^:]+')) == 0 then open[#open + 1] = slot end
  end
  return table.concat(open, ' ')
end

-- Whether the calling worker is to end.
local function dismissed()
  return hindered and call('ZSCORE', P .. 'dismissed', worker)
end

-- The brake holds the job if so many of its task failed alike that the rest is to be held. Returns whether it does.
local function braked(id, j)
  if not hindered or call('HEXISTS', P .. 'brakes', j.t) == 0 then return false end
  hold_for(id, j, j.h == '' and 'brake' or j.h .. ' brake', 'held by the brake')
  return true
end

-- Whether an input of the job, which is READY, is not done: then the job is not READY from now on.
local spare = BUDGET  -- so many edges are looked up for it, beside those that the call settles
local function early(id, j)
  budget = BUDGET
  j = look_up(id, j)
  spare = spare - BUDGET + budget
  if j.n > BUDGET and j.s ~= 'READY' then spare = 0 end
  return j.s ~= 'READY'
end

-- Whether there may be more for the brake to hold, or that is early; and if not, what `best` finds, which is neither.
local function unhindered(best)
  for _ = 1, 25 do  -- it may hold so many at once
    if spare <= 0 then return true end
    local head, j = best()
    if not head or not (braked(head.id, j) or early(head.id, j)) then return false, head, j end
  end
  return true
end

-- A job of the task ended well: what failed before was not the task's doing.
local function succeeded(j)
  if hindered then call('HDEL', P .. 'failing', j.t) end
end

-- A job of the task failed: `cause` is the way in which it did, `limit` how many in a row the brake needs (0: never).
local function failed(j, cause, limit)
  if limit == 0 or call('HEXISTS', P .. 'brakes', j.t) == 1 then return end
  if string.sub(j.t, 1, 4) == 'xpm.' then return end  -- the callbacks of all users are of one task
  local count, before = string.match(call('HGET', P .. 'failing', j.t) or '', '^(%d+) (.*)$')
  count = before == cause and tonumber(count) + 1 or 1
  if count < limit then
    call('HSET', P .. 'failing', j.t, count .. ' ' .. cause)
  else
    call('HDEL', P .. 'failing', j.t)
    call('HSET', P .. 'brakes', j.t, now .. ' ' .. count .. ' ' .. cause)
    hindered = true
  end
end
