-- hosts: what the host of a worker is not given. Needs calls.

-- Whether the worker's pool gets nothing any more, until it is started anew. A job that ends well there ends the row, also a
-- full one: one of several that ran when the last of the row died.
local function sick()
  local pool = life[10] or ''
  local names = pool ~= '' and call('GET', key('sick', pool))
  if not names then return false end
  if ended == 'done' then
    call('DEL', key('sick', pool))
    return false
  end
  if #names >= LIMITS.row then
    suspects = names
    call('PEXPIRE', key('sick', pool), 86400000)
    return true
  end
  return false
end

-- Whether workers of other hosts can take jobs of the group: 'idle' if one is, and is rung, or was; 'busy' if one that
-- has a job can when it has ended.
local function elsewhere(group)
  local found, slot, needs = '', parts_of(group)
  local names = call('ZREVRANGEBYSCORE', P .. 'workers', '+inf', now - math.max(SILENT, lease), 'LIMIT', 0, LIMITS.look)
  for _, name in ipairs(names) do
    local v = call('HMGET', key('w', name), 'host', 'slots', 'pool', 'i', 'b')
    local row = v[1] and v[1] ~= host and serves(v[2] or '', slot) and (call('GET', key('sick', v[3] or '')) or '')
    if row and #row < LIMITS.row and not exceeds(needs, v[1]) and not call('ZSCORE', P .. 'dismissed', name) then
      if v[5] == group or ((v[4] or '') ~= '' and rouse(name, group)) then return 'idle' end  -- the first: it was rung
      found = 'busy'
    end
  end
  return found
end

-- Whether the job goes past this worker, since it died last on this host and another's worker can take it: at once, or
-- soon after. For one that is busy for longer it doesn't wait.
local others = {}
local function shunned(group, j)
  if j.ah == '' or j.ah ~= host then return false end
  others[group] = others[group] or elsewhere(group)
  return others[group] == 'idle' or (others[group] == 'busy' and now - tonumber(j.ac or 0) < 10000)
end

-- The next of a group that is not shunned, as the first is: one of the first few of the first few lanes.
local function beyond(group)
  local FEW, head, found = 16, nil, nil
  for _, lane in ipairs(call('ZRANGE', key('lanes', group), 0, FEW - 1)) do
    local line = call('ZRANGE', key('ready', group .. ':' .. lane), 0, FEW - 1, 'WITHSCORES')
    for i = 1, #line, 2 do
      local j, score = load(line[i]), score_of(lane)
      if j and j.s == 'READY' and not shunned(group, j) then
        if not head or score < head.score then
          head, found = { id = line[i], score = score, rank = tonumber(line[i + 1]), group = group, lane = lane }, j
        end
        break
      end
    end
  end
  passed[group] = not head
  return head, found
end
