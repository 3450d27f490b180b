-- base: what every script starts from: the namespace's prefix, the server's clock, the budget of edges.
local P = ARGV[1]
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)  -- milliseconds
local budget = 250  -- edges that one call may settle; the rest waits on the list `todo`
local BLOCKS = { ERROR = true, CANCELLED = true, HOLD = true, LOST = true }
local STARTABLE = { WAITING = true, READY = true, HOLD = true, SCHEDULED = true }

local function key(kind, id)
  return P .. kind .. ':' .. id
end

-- The fields of job `id` that place it, or nil if there is no such job.
local function load(id)
  local v = call('HMGET', key('j', id), 's', 'q', 'k', 'p', 'o', 'w', 'b', 'h', 'e', 'l', 'x', 'u', 'st', 'cr', 'v')
  if not v[1] then return nil end
  return {
    s = v[1], q = v[2], k = v[3], p = tonumber(v[4]), o = tonumber(v[5]), w = tonumber(v[6]), b = tonumber(v[7]),
    h = v[8] or '', e = v[9] or '', l = v[10], x = tonumber(v[11]), u = v[12], st = v[13],
    cr = tonumber(v[14] or 0), v = v[15] or '',
  }
end
