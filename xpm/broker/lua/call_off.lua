-- call_off: the runs of an experiment take no more jobs from their scripts. Use: base
-- ARGV: 2 experiment, 3 who asks ('' if nobody in particular). Returns how many of its runs took jobs until now: of the
-- last 100, since a script that has begun so many runs of the experiment ago is over. A run that begins later takes jobs.
local off = 0
local experiment = call('HGET', P .. 'experiments', ARGV[2])
if not experiment then return off end
for _, token in ipairs(call('LRANGE', key('runs', experiment), -100, -1)) do
  off = off + call('HSETNX', key('run', token), 'off', now .. ' ' .. ARGV[3])
end
return off
