-- refill: RQ's list of a queue shows again the first ready jobs, in their order. Use: base rq
-- ARGV: 2 slot 'queue:class', 3 how many (at most 250). Returns 1 if the list was wrong.
local q = string.match(ARGV[2], '^(.*):')
local name = 'rq:queue:' .. rq_queue(q)
call('SADD', 'rq:queues', name)
local ids = call('ZRANGE', key('ready', ARGV[2]), 0, tonumber(ARGV[3]) - 1)
local listed = {}
for _, id in ipairs(call('LRANGE', name, 0, -1)) do listed[id] = (listed[id] or 0) + 1 end
local right = true
for _, id in ipairs(ids) do
  if listed[rq_id(id)] ~= 1 or call('HGET', 'rq:job:' .. rq_id(id), 'status') ~= 'queued' then right = false end
end
for id in pairs(listed) do
  local own = string.match(id, '^' .. NS .. '%-(%x+)$')
  if own and call('HGET', key('j', own), 's') ~= 'READY' then
    call('LREM', name, 0, id)
  end
end
if right then return 0 end
for _, id in ipairs(ids) do
  call('LREM', name, 0, rq_id(id))
  local j = load(id)
  if j then rq_show(id, j, nil, 'READY') end
end
return 1
