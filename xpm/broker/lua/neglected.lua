-- neglected: other workspaces that use tokens, and of which nobody has looked at the leases for one of these. Use: graph
-- Returns {prefix, longest lease in ms, ...}. What one held is free whose keys were deleted, be it there again or not.

-- How much the workspaces `prefixes` hold of a token: by the fields of its stock.
local function use_of(resource, prefixes)
  local used = {}
  for _, prefix in ipairs(prefixes) do
    for _, text in ipairs(call('HVALS', prefix .. 'held:' .. resource)) do
      local amount, host = string.match(text, '^(%d+) %d+ (.*)$')
      local field = string.sub(resource, 1, 2) == 'h.' and 'u@' .. host or 'u'
      used[field] = (used[field] or 0) + tonumber(amount)
    end
  end
  return used
end

-- Counts anew what the workspaces `prefixes` hold, and which ones wait.
local function recount(prefixes)
  for _, resource in ipairs(call('SMEMBERS', ALL .. 'resources')) do
    for _, prefix in ipairs(waiting_for(resource)) do
      if call('EXISTS', prefix .. 'wants:' .. resource) == 0 then call('ZREM', line_of(resource), prefix) end
    end
    local used = use_of(resource, prefixes)
    for _, field in ipairs(call('HKEYS', stock(resource))) do
      if string.sub(field, 1, 1) == 'u' then call('HSET', stock(resource), field, used[field] or 0) end
    end
    reopen(resource)
  end
end

-- Whether somebody there may hold a token, or wait for one, whose lease can end.
local function concerned(prefix)
  if call('EXISTS', prefix .. 'leases', prefix .. 'holds') == 0 then return false end
  for _, resource in ipairs(call('SMEMBERS', ALL .. 'resources')) do
    if call('EXISTS', prefix .. 'held:' .. resource, prefix .. 'wants:' .. resource) > 0 then return true end
  end
  return false
end

local schema, found, there = call('HGET', P .. 'meta', 'schema'), {}, {}
local lost = call('DEL', ALL .. 'anew') == 1
for _, prefix in ipairs(call('HKEYS', ALL .. 'spaces')) do
  local v = call('HMGET', prefix .. 'meta', 'schema', 'swept', 'lease')
  lost = lost or not v[1]
  if call('EXISTS', prefix .. 'meta') == 1 then
    there[#there + 1] = prefix
    local lease = tonumber(v[3] or 0)
    local lately = math.abs(now - tonumber(v[2] or 0)) < lease
    if prefix ~= P and v[1] == schema and not lately and concerned(prefix) then
      found[#found + 1] = prefix
      found[#found + 1] = lease
    end
  else
    call('HDEL', ALL .. 'spaces', prefix)
  end
end
if lost then
  recount(there)
  finish_up()
end
return found
