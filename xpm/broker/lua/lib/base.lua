-- base: what every script starts from. In front of it stands BUDGET, the number of edges that one call may settle.
local P = ARGV[1]
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)  -- milliseconds by the server's clock
local budget = BUDGET
local BLOCKS = { ERROR = true, CANCELLED = true, HOLD = true, LOST = true }
local STARTABLE = { WAITING = true, READY = true, HOLD = true, SCHEDULED = true }

local function key(kind, id)
  return P .. kind .. ':' .. id
end

-- Job `id`, or nil if there is no such job. The names of its fields are those of `keys.py`; a number that is 0 and a
-- text that is empty need not be stored.
local function load(id)
  local v = call('HMGET', key('j', id), 's', 'r', 'w', 'b', 'q', 'k', 'p', 'o', 'e', 'v', 'l', 't0', 'd', 't', 'n', 'c',
    'x', 'a', 'u', 'f', 'ln', 'cr', 't2', 'h', 'g', 'st')
  if not v[1] then return nil end
  return {
    s = v[1], r = tonumber(v[2]), w = tonumber(v[3] or 0), b = tonumber(v[4] or 0), q = v[5], k = v[6],
    p = tonumber(v[7] or 0), o = tonumber(v[8]), e = v[9], v = v[10], l = v[11], t0 = tonumber(v[12]), d = v[13],
    t = v[14], n = tonumber(v[15] or 0), c = v[16], x = tonumber(v[17] or 0), a = tonumber(v[18] or 0), u = v[19] or '',
    f = v[20] or '', ln = v[21] or '0', cr = tonumber(v[22] or 0), t2 = tonumber(v[23] or 0), h = v[24] or '',
    g = v[25], st = v[26],
  }
end
