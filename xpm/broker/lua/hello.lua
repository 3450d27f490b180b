-- hello: a new connection introduces itself. Use: base
-- ARGV: 2 run id of the server, 3 lease in ms, 4 schema version of the caller.
-- Another server life raises the epoch (the first half of every fence) and, for one lease, nothing expires. The longest
-- lease of all that greeted this life is remembered.
-- Returns {epoch, schema version of the data}.
local v = call('HMGET', P .. 'meta', 'schema', 'server', 'epoch', 'lease')
local schema, epoch, longest = v[1], tonumber(v[3] or 0), tonumber(v[4] or 0)
if not schema then
  call('HSET', P .. 'meta', 'schema', ARGV[4])
  if call('HEXISTS', ALL .. 'spaces', P) == 1 then call('SADD', ALL .. 'anew', P) end  -- see neglected
  schema = ARGV[4]
end
if v[2] ~= ARGV[2] then
  epoch, longest = math.max(epoch + 1, math.floor(now / 1000)), 0
  call('HSET', P .. 'meta', 'server', ARGV[2], 'epoch', epoch, 'grace', now + tonumber(ARGV[3]))
end
if longest < tonumber(ARGV[3]) then call('HSET', P .. 'meta', 'lease', ARGV[3]) end
return { tostring(epoch), schema }
