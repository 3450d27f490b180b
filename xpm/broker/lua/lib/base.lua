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

-- Job `id`, or nil if there is no such job. The names of its fields are those of `keys.py`.
local function load(id)
  local v = call('HMGET', key('j', id), 's', 'q', 'k', 'p', 'o', 'w', 'b', 'h', 'e', 'v', 'l', 'x', 'u', 'st', 'cr', 'r',
    'd', 't', 'f', 'a', 'c', 'n', 'ln', 't0', 't2', 'g')
  if not v[1] then return nil end
  return {
    s = v[1], q = v[2], k = v[3], p = tonumber(v[4]), o = tonumber(v[5]), w = tonumber(v[6]), b = tonumber(v[7]),
    h = v[8] or '', e = v[9] or '', v = v[10] or '', l = v[11], x = tonumber(v[12]), u = v[13], st = v[14],
    cr = tonumber(v[15] or 0), r = tonumber(v[16] or 0), d = v[17], t = v[18], f = v[19], a = tonumber(v[20]), c = v[21],
    n = tonumber(v[22]), ln = v[23], t0 = tonumber(v[24]), t2 = tonumber(v[25] or 0), g = v[26],
  }
end
