-- fetch: the grant of a worker's next job. Needs calls.

-- RQ's list is a window: when it is empty, show the next jobs.
local function rewindow(slot, q)
  if call('LLEN', rq_list(q)) > 0 then return end
  for _, id in ipairs(call('ZRANGE', key('ready', slot), 0, 49)) do
    local j = load(id)
    if j and j.s == 'READY' then rq_enlist(id, j) end
  end
end

-- The first job of a slot that is really ready, with its score; entries that are not are dropped.
local function top(slot)
  for _ = 1, 16 do
    local v = call('ZRANGE', key('ready', slot), 0, 0, 'WITHSCORES')
    if not v[1] then return nil end
    local j = load(v[1])
    if j and j.s == 'READY' then return v[1], j, tonumber(v[2]) end
    call('ZREM', key('ready', slot), v[1])
  end
end

-- The best ready job of the first queue that has one.
local function best()
  local id, j, rank, queue, from
  for slot in string.gmatch(slots, '%S+') do
    local q = string.match(slot, '^(.*):')
    if id and q ~= queue then break end
    local other, other_job, other_rank = top(slot)
    if other and (not id or other_rank < rank) then id, j, rank, queue, from = other, other_job, other_rank, q, slot end
  end
  return id, j, from
end

-- Grant the next job, or register the worker as idle so that the next ready job rings it. A worker that nobody knows
-- (the server lost its memory) gets nothing before it has enrolled again.
local function fetch(outcome)
  if not life[8] and slots ~= '' then
    flush()
    return { 'stranger', '', 0 }
  end
  local more = drain()
  local id, j, slot
  if not rq_suspended() then id, j, slot = best() end
  if id then
    local listed = start(id, j)
    if bells[slot] then bells[slot] = bells[slot] - 1 end  -- one of the jobs that this call made ready is taken
    if more then ring(slot) end
    if not listed then rewindow(slot, j.q) end
  end
  return answer(outcome, id, j, more, not id and not more and lines or '')
end
