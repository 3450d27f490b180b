-- bells: waking idle workers. Needs needs.
-- A job of the group may start: the end of the call wakes a worker for it.
local function ring(group)
  here.bells[group] = (here.bells[group] or 0) + 1
end

-- The line of workers that serve all queues, of those that fit the slot's class.
local function any_queue(slot)
  return '*' .. string.match(slot, ':%d+$')
end

local SILENT = 30000  -- an idle worker calls every few seconds; one that was not heard of for so long gets no bell

-- Take an idle worker out of all lines and ring its bell. The group is remembered: if the worker takes another job or
-- goes, it passes the bell on. False for one that is gone.
local function rouse(worker, group)
  local v = call('HMGET', key('w', worker), 'i', 'seen')
  for other in string.gmatch(v[1] or '', '%S+') do call('ZREM', key('idle', other), worker) end
  local fit = v[1] and v[1] ~= '' and now - tonumber(v[2] or 0) < SILENT
  if v[1] then call('HSET', key('w', worker), 'i', '', 'b', fit and group or '') end
  if not fit then return false end
  call('RPUSH', key('bell', worker), '1')
  call('PEXPIRE', key('bell', worker), 60000)
  if string.find(group, ':%d+:') then  -- it needs tokens: see serve_outside
    call('SADD', key('coming', group), worker)
    call('PEXPIRE', key('coming', group), 2000)  -- if it lives, it calls at once
  end
  return true
end

-- The first idle worker of the slot's lines on whose host there is enough, and that is not on the host `besides`, but on
-- the host `at`, if one is given.
local function idle_for(slot, needs, besides, at)
  for _, line in ipairs({ key('idle', slot), key('idle', any_queue(slot)) }) do
    for _, worker in ipairs(call('ZRANGE', line, 0, 99)) do
      local v = call('HMGET', key('w', worker), 'host', 'seen')
      if not v[1] then call('ZREM', line, worker)
      elseif now - tonumber(v[2] or 0) >= SILENT then rouse(worker, '')  -- which takes it out of its lines
      elseif v[1] ~= besides and (not at or v[1] == at) and fits(needs, v[1]) then return worker end
    end
  end
end

-- Wake the worker that is idle for longest, one that serves just some queues before one that serves all; false if
-- there is none.
local function wake(group)
  local slot, needs = parts_of(group)
  if not fits(needs) then return false end  -- another took it in this call
  if string.find(needs, '^h%.') then
    local worker = idle_for(slot, needs)
    return worker and rouse(worker, group)
  end
  for _ = 1, 100 do
    local worker = call('ZPOPMIN', key('idle', slot))[1] or call('ZPOPMIN', key('idle', any_queue(slot)))[1]
    if not worker then return false end
    if rouse(worker, group) then return true end
  end
  return false
end

-- The bells of the whole call.
local function peal()
  for group, rings in pairs(here.bells) do
    while rings > 0 and wake(group) do rings = rings - 1 end
  end
  here.bells = {}
end
