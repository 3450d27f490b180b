-- needs: what tokens and locks there are, who holds them, what fits (one file: over 80 lines). Needs line.
-- Needs are a text, 'l.index=1,t.gpu=2', in the order of names: `t` a token, `h` a token that each host has for itself,
-- `l` a lock, of which a reader takes one and a writer all. Tokens are counted for all workspaces together, locks for each.
local parsed, accounts = {}, {}

-- The slot of a group of jobs, '<queue>:<class>:<needs>', and what its jobs need; '' if nothing.
local function parts_of(group)
  return string.match(group, '^([^:]+:%d+):?(.*)$')
end

local function needs_of(text)
  local found = parsed[text]
  if found then return found end
  found = {}
  for resource, amount in string.gmatch(text, '([^=,]+)=(%d+)') do
    found[#found + 1] = { resource = resource, amount = tonumber(amount), local_to = string.sub(resource, 1, 2) == 'h.',
      shared = shared(resource) }
  end
  parsed[text] = found
  return found
end

-- Capacity and use of what a need names; for one that each host has for itself, those of `host`.
local function account(need, host)
  local at = need.local_to and '@' .. (host or '') or ''
  local name = stock(need.resource)
  local known = accounts[name .. at]
  if known then return known end
  local v = call('HMGET', name, 'c', 'c' .. at, 'u' .. at)
  known = { capacity = tonumber(v[2] or v[1] or 0), used = tonumber(v[3] or 0), name = name, field = 'u' .. at }
  accounts[name .. at] = known
  return known
end

-- Whether a need is met now, with `kept` of it left to others. Without a host, those that hosts have for themselves are
-- met: some host may have them.
local function met(need, host, kept)
  if need.local_to and not host then return true end
  local found = account(need, host)
  return found.used + (kept or 0) + need.amount <= found.capacity
end

local function fits(text, host)
  for _, need in ipairs(needs_of(text)) do
    if not met(need, host) then return false end
  end
  return true
end

-- Of what the needs are more than there ever is, and how much that is: on `host`, or on any.
local function exceeds(text, host)
  for _, need in ipairs(needs_of(text)) do
    local most = account(need, host).capacity
    if need.local_to and not host then
      most = math.max(most, tonumber(call('HGET', stock(need.resource), 'most') or 0))
    end
    if need.amount > most then return need.resource, most end
  end
  return nil
end

-- `holder` takes what it needs, all of it.
local function spend(holder, text, host)
  for _, need in ipairs(needs_of(text)) do
    local found = account(need, host)
    found.used = call('HINCRBY', found.name, found.field, need.amount)
    call('HSET', key('held', need.resource), holder, need.amount .. ' ' .. now .. ' ' .. (host or ''))
    if need.shared then stand_last(need.resource, true) end
  end
end

-- What `holder` holds of it comes back, once; returns the resources.
local function refund(holder, text)
  local freed = {}
  for _, need in ipairs(needs_of(text)) do
    local v = call('HGET', key('held', need.resource), holder)
    if v then
      local amount, host = string.match(v, '^(%d+) %d+ (.*)$')
      local found = account(need, host)
      call('HDEL', key('held', need.resource), holder)
      found.used = call('HINCRBY', found.name, found.field, -tonumber(amount))
      freed[#freed + 1] = need.resource
    end
  end
  return freed
end
