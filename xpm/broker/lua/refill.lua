-- refill: RQ's list of a queue shows the first ready jobs, in their order, and nothing else. Use: rqlive ready
-- ARGV: 2 slot 'queue:class', 3 how many. Returns 1 if the list was wrong.
-- A queue's classes share its list: it shows the best of all of them, by priority, rank and order; behind them the next of
-- each group whose tokens are free. Others that wait for tokens are shown as deferred.
local q, wanted = string.match(ARGV[2], '^(.*):'), math.min(tonumber(ARGV[3]), QUEUE_WINDOW)
local name, places, ids, parked = rq_list(q), {}, {}, {}
rq_announce(q)
if call('HEXISTS', P .. 'paused', q) == 1 then return rq_empty(q) end  -- see pause

-- The first jobs of a group, with their places among those of the queue.
local function first(group, most)
  local ids_of = {}
  for _, lane in ipairs(call('ZRANGE', key('lanes', group), 0, 99)) do
    local found = call('ZRANGE', key('ready', group .. ':' .. lane), 0, most - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      ids_of[#ids_of + 1] = found[i]
      places[found[i]] = { -tonumber(string.match(lane, '^-?%d+')), tonumber(found[i + 1]) }
    end
  end
  return ids_of
end

for _, slot in ipairs(call('SMEMBERS', P .. 'queues')) do
  if string.match(slot, '^(.*):') == q then
    for _, id in ipairs(first(slot, wanted)) do ids[#ids + 1] = id end
  end
end
table.sort(ids, function(one, other)
  if places[one][1] ~= places[other][1] then return places[one][1] < places[other][1] end
  return places[one][2] < places[other][2]
end)
for i = #ids, wanted + 1, -1 do ids[i] = nil end

for _, group in ipairs(call('SMEMBERS', P .. 'groups')) do
  local slot, needs = parts_of(group)
  if string.match(slot, '^(.*):') == q then
    local offered = fits(needs) and next_of(group)
    if offered and #ids < wanted then ids[#ids + 1] = offered.id else offered = nil end
    for _, id in ipairs(first(group, 50)) do
      if (not offered or id ~= offered.id) and #parked < wanted then parked[#parked + 1] = id end
    end
  end
end

local listed = call('LRANGE', name, 0, -1)
local right, ready = #listed <= QUEUE_WINDOW and #listed >= #ids, {}
for i, id in ipairs(ids) do
  right = right and listed[i] == rq_id(id)
  ready[id] = true
  if not (rq_true(id, { q = q }, 'READY') and rq_alone(id, q)) then
    local j = load(id)
    if j and j.s == 'READY' then
      rq_hide(id, j)
      rq_hash(id, j, nil, 'status', 'queued', 'enqueued_at', at(now))
      right = false
    end
  end
end
-- Behind these, what was entered at the end since: a job that is not ready, or in two places, makes the list wrong.
local seen = {}
for _, member in ipairs(listed) do
  local own = string.sub(member, 1, #NS + 1) == NS .. '-' and string.sub(member, #NS + 2)
  local v = own and not ready[own] and call('HMGET', key('j', own), 's', 'rs')
  right = right and own and not seen[member] and (ready[own] or (v[1] == 'READY' and not v[2]))
  seen[member] = true
end
if not right then
  call('DEL', name)
  for _, id in ipairs(ids) do call('RPUSH', name, rq_id(id)) end
end
for _, id in ipairs(parked) do
  local j = load(id)
  if j and not rq_shown(id, j, 'READY') then
    rq_hide(id, j)
    rq_show(id, j, nil, 'READY', nil, WINDOW)
    if rq_shown(id, j, 'READY') then right = false end
  end
end
return right and 0 or 1
