-- hello: a new connection introduces itself. Use: base
-- ARGV: 2 run id of the server, 3 lease in ms, 4 schema version of the caller.
-- Another server life raises the epoch (the first half of every fence) and, for one lease, nothing expires.
-- Returns {epoch, schema version of the data}.
local v = call('HMGET', P .. 'meta', 'schema', 'server', 'epoch', 'lease')
local schema, lease = v[1], math.max(tonumber(v[4] or 0), tonumber(ARGV[3]))
if not schema then
  call('HSET', P .. 'meta', 'schema', ARGV[4])
  schema = ARGV[4]
end
if v[4] ~= tostring(lease) then call('HSET', P .. 'meta', 'lease', lease) end
local epoch = tonumber(v[3] or 0)
if v[2] ~= ARGV[2] then
  epoch = math.max(epoch + 1, math.floor(now / 1000))
  call('HSET', P .. 'meta', 'server', ARGV[2], 'epoch', epoch, 'grace', now + lease)
end
call('HDEL', P .. 'meta', 'closing')
return { tostring(epoch), schema }
