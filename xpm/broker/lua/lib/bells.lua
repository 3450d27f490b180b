-- bells: waking idle workers. Needs base.
local bells = {}

-- A job of the slot may start: the end of the call wakes a worker for it.
local function ring(slot)
  bells[slot] = (bells[slot] or 0) + 1
end

-- The line of workers that serve all queues, of those that fit the slot's class.
local function any_queue(slot)
  return '*' .. string.match(slot, ':%d+$')
end

local SILENT = 30000  -- an idle worker calls every few seconds; one that was not heard of for so long gets no bell

-- Wake the worker that is idle for longest, one that serves just some queues before one that serves all; false if
-- there is none. The slot is remembered: if the worker takes another job or goes, it passes the bell on.
local function wake(slot)
  for _ = 1, 100 do
    local worker = call('ZPOPMIN', key('idle', slot))[1] or call('ZPOPMIN', key('idle', any_queue(slot)))[1]
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

-- The bells of the whole call.
local function peal()
  for slot, rings in pairs(bells) do
    while rings > 0 and wake(slot) do rings = rings - 1 end
  end
  bells = {}
end
