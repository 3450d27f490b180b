-- hello: a new connection introduces itself. Use: base
-- ARGV: 2 run id of the server, 3 lease in ms, 4 schema version of the caller.
-- Another server life raises the epoch (the first half of every fence) and, for one lease, nothing expires.
-- Returns {epoch, schema version of the data}.
local schema = call('HGET', P .. 'meta', 'schema')
if not schema then
  call('HSET', P .. 'meta', 'schema', ARGV[4])
  schema = ARGV[4]
end
if call('HGET', P .. 'meta', 'server') ~= ARGV[2] then
  local epoch = tonumber(call('HGET', P .. 'meta', 'epoch') or 0)
  epoch = math.max(epoch + 1, math.floor(now / 1000))
  call('HSET', P .. 'meta', 'server', ARGV[2], 'epoch', epoch, 'grace', now + tonumber(ARGV[3]))
end
call('HDEL', P .. 'meta', 'closing')
return { call('HGET', P .. 'meta', 'epoch'), schema }
