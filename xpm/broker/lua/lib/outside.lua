-- outside: tokens and locks that are held by code, not by a job's requirements. Needs ready.

-- `name` holds, and waits for, nothing any more.
local function drop(name)
  local v = call('HMGET', key('a', name), 'needs', 'f', 'j')
  if not v[1] then return false end
  local member, freed = '@' .. name, {}
  if v[2] then
    freed = refund(member, v[1])
  else
    leave_lines(member, v[1])
    call('HINCRBY', P .. 'turns', '@', -1)  -- it has had nothing for its turn
    for i, need in ipairs(needs_of(v[1])) do freed[i] = need.resource end  -- they may have been kept for it
  end
  call('DEL', key('a', name), key('bell', member))
  call('ZREM', P .. 'holds', name)
  call('ZREM', P .. 'offered', name)
  call('ZREM', P .. 'late', member)
  if v[3] and v[3] ~= '' then
    local kept = {}
    for other in string.gmatch(call('HGET', key('j', v[3]), 'aq') or '', '%S+') do
      if other ~= name then kept[#kept + 1] = other end
    end
    if kept[1] then call('HSET', key('j', v[3]), 'aq', table.concat(kept, ' ')) else call('HDEL', key('j', v[3]), 'aq') end
  end
  for _, resource in ipairs(freed) do reopen(resource) end
  return true
end

-- What was granted to who waits, and was not taken for seconds, goes to others: that one has died, or stands still. It
-- was told nothing yet. It keeps its place, for when it asks again.
local function withdraw()
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'offered', '-inf', now - 3000, 'LIMIT', 0, 20)) do
    local needs = call('HGET', key('a', name), 'needs')
    call('ZREM', P .. 'offered', name)
    call('HDEL', key('a', name), 'f', 't1')
    call('HSET', key('a', name), 'seen', 0)
    line_up_for('@' .. name, needs)
    for _, resource in ipairs(refund('@' .. name, needs)) do reopen(resource) end
  end
end
