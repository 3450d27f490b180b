-- resume: jobs of these queues are granted again. Use: ready
-- ARGV: 2 the queues, packed. Returns those that were paused. RQ's lists are made right by the sweeper: see refill.
local AWAKE = 100  -- so many workers are woken for each group of jobs; who finds more wakes others
local open, fresh = {}, {}
for _, queue in ipairs(cmsgpack.unpack(ARGV[2])) do
  if call('HDEL', P .. 'paused', queue) == 1 then fresh[#fresh + 1] = queue end
  open[queue] = true
end

local function ring_all(group)
  if not startable(group) then return end
  for _ = 1, AWAKE do ring(group) end
end

for _, slot in ipairs(call('SMEMBERS', P .. 'queues')) do
  if open[string.match(slot, '^[^:]+')] then
    ring_all(slot)
    for _, lane in ipairs(call('ZRANGE', key('open', slot), 0, AWAKE - 1)) do
      for _, group in ipairs(call('ZRANGE', key('opened', slot .. ':' .. lane), 0, AWAKE - 1)) do ring_all(group) end
    end
  end
end
peal()
return fresh
