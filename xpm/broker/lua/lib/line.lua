-- line: the workspaces that wait for a token, which take turns at it. Needs base.
-- Tokens are counted for all workspaces of the server, locks for each. `line:<token>` names the workspaces of which somebody
-- waits for it: first the one that was given some of it longest ago, or came first. All lines are counted by one counter.
-- Within a workspace see turn.

local function shared(resource)
  return string.sub(resource, 1, 2) ~= 'l.'
end

-- The key with the capacity and the use of a token or lock.
local function stock(resource)
  return (shared(resource) and ALL or P) .. 'res:' .. resource
end

-- It is used in this workspace.
local function note_use(resource)
  call('SADD', P .. 'resources', resource)
  if not shared(resource) then return end
  call('SADD', ALL .. 'resources', resource)
  call('HSETNX', ALL .. 'spaces', P, '')
end

local function line_of(resource)
  return ALL .. 'line:' .. resource
end

-- The workspaces that wait for it, by the prefix of their keys.
local function waiting_for(resource)
  return call('ZRANGE', line_of(resource), 0, -1)
end

-- This workspace is the last of those that wait: it has come, or was given some (`again`), and the others may have the rest.
local function stand_last(resource, again)
  if again then
    local line = waiting_for(resource)
    if not line[1] or (line[1] == P and not line[2]) then return end  -- there are no others
    here.stirred[resource] = true
  end
  if (call('ZSCORE', line_of(resource), P) ~= false) == again then
    call('ZADD', line_of(resource), call('HINCRBY', ALL .. 'meta', 'place', 1), P)
  end
end
