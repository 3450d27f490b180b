-- pause: no job of these queues is granted until they are resumed. Use: rqlive
-- ARGV: 2 who asks, then the queues. Returns those that were not paused before.
-- RQ's lists of them are empty meanwhile: a stock worker would take one job after another from there in vain.
local fresh = {}
for i = 3, #ARGV do
  if call('HSETNX', P .. 'paused', ARGV[i], now .. ' ' .. ARGV[2]) == 1 then fresh[#fresh + 1] = ARGV[i] end
  rq_empty(ARGV[i])
end
return fresh
