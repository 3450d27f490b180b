-- base: what every script starts from. In front of it stands BUDGET, the number of edges that one call may settle.
local P = ARGV[1]
local ALL = 'xpm:all:'  -- begins the keys that all workspaces share
local call = redis.call

-- What a call has found out and set going in a workspace: `turns` of experiments; `attending`: slots that have workers;
-- `occupied`: lanes that have jobs; `sizes` of RQ's lists; `deltas`, `transitions`, `arrivals`: what moved, see moves;
-- `bells`: how many workers to wake for groups; `reopened`: resources of which those who wait were looked at again;
-- `outside`: who waits and is no job, to be served at the end; `stirred`: tokens that others may wait for; `away`: whether
-- it is another workspace than that of the call.
local function nothing()
  return { turns = {}, attending = {}, occupied = {}, sizes = {}, deltas = {}, transitions = {}, arrivals = {},
    bells = {}, reopened = {}, outside = {}, stirred = {} }
end
local here = nothing()
local now = (function()  -- milliseconds by the server's clock
  local clock = call('TIME')
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end)()
local budget = BUDGET
local BLOCKS = { ERROR = true, CANCELLED = true, HOLD = true, LOST = true }
local STARTABLE = { WAITING = true, READY = true, HOLD = true, SCHEDULED = true }

local function key(kind, id)
  return P .. kind .. ':' .. id
end

-- Job `id`, or nil if there is no such job. The names of its fields are those of `keys.py`; a number that is 0 and a
-- text that is empty need not be stored.
local function load(id)
  local v = call('HGETALL', key('j', id))
  if not v[1] then return nil end
  local j = { s = '', r = 0, w = 0, b = 0, p = 0, o = 0, n = 0, x = 0, a = 0, cr = 0, ls = 0, rt = 0, t0 = 0, t2 = 0,
    d = '', t = '', l = '', q = '', k = '', e = '', v = '', c = '', u = '', f = '', h = '', m = '', ah = '', ln = '0' }
  for i = 1, #v, 2 do j[v[i]] = v[i + 1] end
  j.r, j.w, j.b, j.p, j.o = tonumber(j.r), tonumber(j.w), tonumber(j.b), tonumber(j.p), tonumber(j.o)
  j.n, j.x, j.a, j.cr, j.ls = tonumber(j.n), tonumber(j.x), tonumber(j.a), tonumber(j.cr), tonumber(j.ls)
  j.t0, j.t2, j.rt, j.nb = tonumber(j.t0), tonumber(j.t2), tonumber(j.rt), j.nb and tonumber(j.nb)
  return j
end

-- What moving a job that is not running takes: fewer fields.
local function glance(id)
  local v = call('HMGET', key('j', id), 's', 'w', 'b', 'h', 'r', 'e', 'q', 'k', 'p', 'o', 'm', 'rw', 'v', 'rs', 'ch', 'nb')
  if not v[1] then return nil end
  return { s = v[1], w = tonumber(v[2] or 0), b = tonumber(v[3] or 0), h = v[4] or '', r = tonumber(v[5]), e = v[6],
    q = v[7], k = v[8], p = tonumber(v[9] or 0), o = tonumber(v[10]), m = v[11] or '', rw = v[12],
    v = v[13] or '', rs = v[14] or nil, ch = v[15] or nil, nb = v[16] and tonumber(v[16]) }
end
