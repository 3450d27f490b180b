-- slots: the arguments of a worker's call. Needs base.
-- ARGV: 2 worker, 3 number of the call in this worker's life, 4 lease in ms, 5 slots 'queue:class ...' (empty: fetch
-- nothing; '*:class': every queue there is, up to that class); the last of all: the epoch that the caller was greeted with.
local worker, number, lease, slots = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local epoch = call('HGET', P .. 'meta', 'epoch') or '0'
-- What a grant brings, its fence above all, holds in one life of the server. Where another life's data came in behind an
-- open connection (a master that was a replica meanwhile), the caller must greet it first, which raises the epoch.
if ARGV[#ARGV] ~= epoch then return redis.error_reply('STALEEPOCH the server has lived through more than its caller') end

local lines = slots  -- where the worker waits for a bell when there is nothing for it

if string.sub(slots, 1, 2) == '*:' then
  local most, all, classes = tonumber(string.sub(slots, 3)), {}, {}
  for _, slot in ipairs(call('SMEMBERS', P .. 'queues')) do
    if tonumber(string.match(slot, ':(%d+)$')) <= most then all[#all + 1] = slot end
  end
  table.sort(all)
  for class = 1, most do classes[class] = '*:' .. class end
  slots, lines = table.concat(all, ' '), table.concat(classes, ' ')
end
