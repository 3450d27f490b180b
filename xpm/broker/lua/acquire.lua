-- acquire: running code wants tokens or locks; asked again until they are granted. Use: lease
-- ARGV: 2 name, 3 needs, 4 priority, 5 lease in ms, 6 host, 7 packed facts, 8 job ('': none) and 9 its execution.
-- Returns {'granted', fence}, {'waiting'}, {'over', resource, capacity} when there is not so much of it, or {'fenced'} when
-- the job is not the caller's any more.
local name, needs, job = ARGV[2], ARGV[3], ARGV[8]
call('ZREM', P .. 'offered', name)
local v = call('HMGET', key('a', name), 'needs', 'f')
if job ~= '' and not held(job, ARGV[9]) then return { 'fenced' } end
if not v[2] and ungreeted() then
  return redis.error_reply('STALEEPOCH the server has lived through more than its caller')
end
if not v[1] then
  local over, there = exceeds(needs, ARGV[6])
  if over then return { 'over', over, there } end
  local turn = math.max(turn_of('@'), turn_of('*'))  -- all code shares the turns that one experiment has
  call('HSET', P .. 'turns', '@', turn + 1)
  call('HSET', key('a', name), 'needs', needs, 'p', ARGV[4], 'host', ARGV[6], 'facts', ARGV[7], 'j', job, 'x', ARGV[9],
    'turn', turn, 'order', call('HINCRBY', P .. 'meta', 'order', 1), 't0', now)
  local place = cmsgpack.unpack(ARGV[7]).workspace
  if place then call('HSET', ALL .. 'spaces', P, place) end
  line_up_for('@' .. name, needs)
  if job ~= '' then call('HSET', key('j', job), 'aq', ((call('HGET', key('j', job), 'aq') or '') .. ' ' .. name)) end
end
call('HINCRBY', key('a', name), 'n', 1)
if job == '' then
  call('ZADD', P .. 'holds', now + tonumber(ARGV[5]), name)
  call('HSET', key('a', name), 'seen', now)
end
withdraw()
if not v[2] then here.outside[#here.outside + 1] = '@' .. name end
finish_up()
local fence = call('HGET', key('a', name), 'f')
if fence then call('ZREM', P .. 'offered', name) end
if fence then return { 'granted', fence } end
return { 'waiting' }
