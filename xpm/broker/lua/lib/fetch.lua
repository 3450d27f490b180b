-- fetch: the grant of a worker's next job (with its head over 80 lines). Needs hosts.

-- RQ's list is a window: when it is empty, show the next jobs.
local function rewindow(slot, q)
  if call('LLEN', rq_list(q)) > 0 then return end
  local shown = 0
  for _, lane in ipairs(call('ZRANGE', key('lanes', slot), 0, 49)) do
    for _, id in ipairs(shown < 50 and call('ZRANGE', key('ready', slot .. ':' .. lane), 0, 49 - shown) or {}) do
      local j = load(id)
      if j and j.s == 'READY' then rq_enlist(id, j) end
      shown = shown + 1
    end
  end
end

-- The next of a group whose job is really ready and not shunned, and that job; entries that are not ready are dropped.
local function top(group)
  for _ = 1, 16 do
    local head = next_of(group)
    if not head then return nil end
    local j = load(head.id)
    if j and j.s == 'READY' then
      if shunned(group, j) then return beyond(group) end
      return head, j
    end
    take_out(head.id, group, head.lane)
  end
end

-- The heads of groups in these slots that may have what they need, in the order in which they are served, without those
-- that are `known`: of the first lanes the first groups, twice as many in each `round`. And the place before the first that
-- was left out, if it is worth another round.
local function opened(served, known, round)
  local ENOUGH, lanes, groups, found, cut, seen = 2000, 8 * 2 ^ round, 4 * 2 ^ round, {}, nil, 0
  local function leave_out(score, rank)
    local place = { score = score, rank = rank }
    if not cut or before(place, cut) then cut = place end
  end
  for slot in pairs(served) do
    local first = call('ZRANGE', key('open', slot), 0, lanes - 1, 'WITHSCORES')
    if #first == 2 * lanes then leave_out(tonumber(first[#first]), -math.huge) end
    for i = 1, seen < ENOUGH and #first or 0, 2 do
      local lane = first[i]
      local score, name = score_of(lane), key('opened', slot .. ':' .. lane)
      call('ZADD', key('open', slot), 'XX', score, lane)
      local some = call('ZRANGE', name, 0, groups - 1, 'WITHSCORES')
      if #some == 2 * groups then leave_out(score, tonumber(some[#some])) end
      for k = 1, #some, 2 do
        local group = some[k]
        local head = not known[group] and call('ZRANGE', key('ready', group .. ':' .. lane), 0, 0, 'WITHSCORES')
        if head and head[1] then
          call('ZADD', name, 'XX', head[2], group)
          found[#found + 1] = { score = score, rank = tonumber(head[2]), group = group }
        elseif head then
          shut(group, lane)
        end
      end
      seen = seen + 1 + #some / 2
    end
  end
  table.sort(found, before)
  return found, seen < ENOUGH and cut or nil
end

-- Of the jobs in these slots that need tokens, the first that may start on this host, and how that was found out. Groups
-- that contend for nothing with each other are not looked at together: there may be thousands.
local function best_of_waiting(served)
  local known, chosen, why = {}, nil, nil

  -- Looks at a group and all that it contends with.
  local function look(group)
    local found, first = survey({ group }, host, function(head) return head.outside end), nil
    for _, head in ipairs(found) do
      if head.outside then
        if head.may then here.outside[#here.outside + 1] = head.id end
      else
        known[head.group] = true
        if served[head.slot] then
          local j = head.may and not first and load(head.id)
          if j and j.s ~= 'READY' then take_out(head.id, head.group, head.lane)
          elseif j and not shunned(head.group, j) then first = head end
          if head.shut then shut(head.group) end
        end
      end
    end
    known[group] = true
    if first and (not chosen or before(first, chosen)) then chosen, why = first, found end
  end

  local round, cut = 1, nil
  repeat
    local found
    found, cut = opened(served, known, round)
    for _, head in ipairs(found) do
      if chosen and not before(head, chosen) then break end
      if not known[head.group] then look(head.group) end
    end
    round = round + 1
  until not cut or (chosen and not before(cut, chosen))
  return chosen, why
end

-- The best ready job of the first queue that has one.
local function best()
  local some_wait = call('EXISTS', P .. 'groups') == 1
  local queues, slots_of = {}, {}
  for slot in string.gmatch(slots, '%S+') do
    local q = string.sub(lines, 1, 1) == '*' and '*' or string.match(slot, '^(.*):')  -- all queues are as one
    if not slots_of[q] then
      queues[#queues + 1] = q
      slots_of[q] = {}
    end
    slots_of[q][slot] = true
  end
  for _, q in ipairs(queues) do
    local chosen, j
    for slot in pairs(slots_of[q]) do
      local head, other = top(slot)
      if head and (not chosen or before(head, chosen)) then chosen, j = head, other end
    end
    if some_wait then
      local head, found = best_of_waiting(slots_of[q])
      if head and (not chosen or before(head, chosen)) then
        overtake(found, head)
        chosen, j = head, load(head.id)  -- nothing but a move takes it out of the index, or puts it in
      end
    end
    if chosen then return chosen, j end
  end
end

-- Grant the next job, or register the worker as idle so that the next ready job rings it. A worker that nobody knows
-- (the server lost its memory) gets nothing before it has enrolled again; nothing is noted of one that has departed
-- when a last call of it arrives.
local function fetch(outcome)
  if not life[8] then
    flush()
    return { slots ~= '' and 'stranger' or outcome, '', 0, '' }
  end
  local more = drain()
  local shut = sick()
  if dismissed() then
    serve_outside()
    return answer('dismissed', nil, nil, more, '')
  end
  slots = open_slots(slots)
  local left, head, j
  if not shut then left, head, j = unhindered(best) end
  more = more or left
  local id, group = head and head.id, head and head.group
  if id then
    local listed = start(id, j)
    local rings = here.bells[group]
    if rings then here.bells[group] = rings - 1 end  -- one of the jobs that this call made ready is taken
    if more or (j.rs and startable(group) and fits(j.rs)) then ring(group) end
    if not listed and not j.rs then rewindow(group, j.q) end
  end
  serve_outside()
  return answer(outcome, id, j, more, not id and not more and not suspects and lines or '')
end
