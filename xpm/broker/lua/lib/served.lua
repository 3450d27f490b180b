-- served: whether a worker could take a group's jobs now. Needs bells, rqlive.
-- `row`: as long is the list of three different jobs that died in a row as soon as they had begun, and a pool gets no more;
-- `look`: workers that are looked at, the last heard of first.
local LIMITS = { row = 3 * 33 - 1, look = 100 }

local function serves(offered, slot)
  if string.find(' ' .. offered .. ' ', ' ' .. slot .. ' ', 1, true) then return true end
  local most = string.match(offered, '^%*:(%d+)$')
  return most and tonumber(most) >= tonumber(string.match(slot, ':(%d+)$'))
end

-- Whether there is a worker for jobs of the slot, on the host `at` if one is given: for others nothing is kept, since they
-- may wait for weeks.
local function attended(slot, at)
  local there = slot .. '@' .. (at or '')
  if here.attending[there] ~= nil then return here.attending[there] end
  local queue, found = string.match(slot, '^[^:]+'), false
  if not rq_suspended() and call('HEXISTS', P .. 'paused', queue) == 0 then
    local longest = math.max(SILENT, tonumber(call('HGET', P .. 'meta', 'lease') or 0))
    for _, name in ipairs(call('ZREVRANGEBYSCORE', P .. 'workers', '+inf', now - longest, 'LIMIT', 0, LIMITS.look)) do
      local v = call('HMGET', key('w', name), 'slots', 'pool', 'host')
      found = serves(v[1] or '', slot) and (not at or v[3] == at)
        and #(call('GET', key('sick', v[2] or '')) or '') < LIMITS.row and not call('ZSCORE', P .. 'dismissed', name)
      if found then break end
    end
    found = found or rq_attended(queue)
  end
  here.attending[there] = found
  return found
end
