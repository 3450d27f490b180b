-- refill: RQ's list of a queue shows the first ready jobs, in their order, and nothing else. Use: rqlive
-- ARGV: 2 slot 'queue:class', 3 how many. Returns 1 if the list was wrong.
-- A queue's classes share its list: it shows the best of all of them.
local q, wanted = string.match(ARGV[2], '^(.*):'), math.min(tonumber(ARGV[3]), QUEUE_WINDOW)
local name, ranks, ids = rq_list(q), {}, {}
rq_announce(q)
for _, slot in ipairs(call('SMEMBERS', P .. 'queues')) do
  if string.match(slot, '^(.*):') == q then
    local found = call('ZRANGE', key('ready', slot), 0, wanted - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      ids[#ids + 1] = found[i]
      ranks[found[i]] = tonumber(found[i + 1])
    end
  end
end
table.sort(ids, function(one, other) return ranks[one] < ranks[other] end)

local listed, wrong = call('LRANGE', name, 0, -1), 0
local right = #listed <= QUEUE_WINDOW and #listed >= math.min(#ids, wanted)
for i = 1, math.min(#ids, wanted) do
  local id = ids[i]
  right = right and listed[i] == rq_id(id)
  if not rq_true(id, { q = q }, 'READY') then
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
for i, member in ipairs(listed) do
  local own = string.sub(member, 1, #NS + 1) == NS .. '-' and string.sub(member, #NS + 2)
  right = right and own and not seen[member] and (ranks[own] or call('HGET', key('j', own), 's') == 'READY')
  seen[member] = true
end
if right then return 0 end
call('DEL', name)
for i = 1, math.min(#ids, wanted) do call('RPUSH', name, rq_id(ids[i])) end
return 1
