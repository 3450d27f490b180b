-- open: an experiment begins a run. Use: base
-- ARGV: 2 experiment, 3 run, 4 code id, 5 packed facts about the run.
-- Returns {token '<experiment serial>.<run serial>', start in ms}. The same (experiment, run) gets the same token.
local experiment = call('HGET', P .. 'experiments', ARGV[2])
if not experiment then
  experiment = tostring(call('HINCRBY', P .. 'meta', 'experiment', 1))
  call('HSET', P .. 'experiments', ARGV[2], experiment)
end
local facts = cmsgpack.unpack(ARGV[5])
if facts.workspace then call('HSET', ALL .. 'spaces', P, facts.workspace) end
local user = facts.user
if user then
  call('SADD', P .. 'users', user)
  call('HSET', P .. 'owners', experiment, user)
end
for i, token in ipairs(call('LRANGE', key('runs', experiment), -5, -1)) do
  local v = call('HMGET', key('run', token), 'name', 'start')
  if v[1] == ARGV[3] then return { token, tonumber(v[2]) } end
end
local token = experiment .. '.' .. call('HINCRBY', P .. 'meta', 'run', 1)
call('RPUSH', key('runs', experiment), token)
call('HSET', key('run', token), 'name', ARGV[3], 'experiment', ARGV[2], 'start', now, 'code', ARGV[4], 'facts', ARGV[5])
return { token, now }
