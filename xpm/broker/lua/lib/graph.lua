-- graph: moving jobs between states, settling edges, ringing workers. Needs base, rq.
-- Every script that moves jobs ends with flush(): counts and events of the whole call are written at once.
local deltas, transitions = {}, {}

local function count(runs, state, by)
  for run in string.gmatch(runs, '%S+') do
    local field = run .. ' ' .. state
    deltas[field] = (deltas[field] or 0) + by
  end
end

local function flush()
  for field, by in pairs(deltas) do
    local run, state = string.match(field, '^(%S+) (%S+)$')
    if by ~= 0 then call('HINCRBY', key('run', run), state, by) end
  end
  if #transitions > 0 then
    call('XADD', P .. 'events', 'MAXLEN', '~', 100000, '*', 't', cmsgpack.pack(transitions))
  end
  deltas, transitions = {}, {}
end

local function ready_key(j)
  return key('ready', j.q .. ':' .. j.k)
end

-- Priority before order: 13 bits of priority above 40 bits of order fit a double exactly.
local function score(j)
  return -j.p * 1099511627776 + j.o
end

-- The only place where the state of a job changes. Its index: READY jobs are in `ready:<slot>`, RUNNING ones in
-- `leases` (entered by who starts them), all others in `s:<STATE>`. Further fields to set may follow.
local function move(id, j, to, why, ...)
  local from = j.s
  if from == 'READY' then call('ZREM', ready_key(j), id) elseif from == 'RUNNING' then call('ZREM', P .. 'leases', id)
  elseif from then call('ZREM', key('s', from), id) end
  if to == 'READY' then call('ZADD', ready_key(j), score(j), id)
  elseif to ~= 'RUNNING' then call('ZADD', key('s', to), now, id) end
  if from then count(j.e, from, -1) end
  count(j.e, to, 1)
  j.r = j.r + 1
  call('HSET', key('j', id), 's', to, 'r', j.r, 'm', why or '', ...)
  transitions[#transitions + 1] = { id, to, j.r, j.e, why or '' }
  if to ~= 'RUNNING' then rq_show(id, j, from, to)
  elseif call('LREM', 'rq:queue:' .. rq_queue(j.q), 1, rq_id(id)) == 0 then j.unlisted = true end
  j.s = to
end

-- Wake one idle worker of a slot; one that is gone is passed over.
local function ring(slot)
  for _ = 1, 8 do
    local worker = call('ZPOPMIN', key('idle', slot))[1]
    if not worker then return end
    local slots = call('HGET', key('w', worker), 'i')
    if slots then
      for other in string.gmatch(slots, '%S+') do call('ZREM', key('idle', other), worker) end
      call('RPUSH', key('bell', worker), '1')
      call('PEXPIRE', key('bell', worker), 60000)
      return
    end
  end
end

-- What a job's state means to an edge that leaves it: 1 open, 2 met, 3 blocked.
local function edge_state(state)
  if state == 'DONE' then return '2' end
  return BLOCKS[state] and '3' or '1'
end

-- Successors of a job that went from `from` to `to` hear of it over the continuation list.
local function spread(id, from, to)
  if edge_state(from) ~= edge_state(to) and call('EXISTS', key('out', id)) == 1 then
    call('RPUSH', P .. 'todo', 'S' .. id .. ':0')
  end
end

local function place_of(j)
  if j.b > 0 or j.h ~= '' then return 'HOLD' end
  return j.w > 0 and 'WAITING' or 'READY'
end

-- Put a job that is not running where its edges and holds say.
local function place(id, j, why, ...)
  local from, to = j.s, place_of(j)
  if to == from then
    if ... then call('HSET', key('j', id), ...) end
    return
  end
  move(id, j, to, why, ...)
  if to == 'READY' then ring(j.q .. ':' .. j.k) end
  spread(id, from or 'WAITING', to)
end

-- The key `in:<id>` holds one state byte per input (0 unregistered, 1 open, 2 met, 3 blocked), then the inputs'
-- ids, 16 bytes each. `w` of a job counts its inputs that are not met, `b` the blocked ones.
local function edge(child, index, target)
  local old = call('GETRANGE', key('in', child), index, index)
  if old == '' or old == target then return end
  local v = call('HMGET', key('j', child), 's', 'w', 'b', 'h')
  if not v[1] then return end
  call('SETRANGE', key('in', child), index, target)
  local w, b = tonumber(v[2]), tonumber(v[3])
  if target == '2' then w = w - 1 elseif old == '2' then w = w + 1 end
  if target == '3' then b = b + 1 elseif old == '3' then b = b - 1 end
  if STARTABLE[v[1]] and place_of({ w = w, b = b, h = v[4] or '' }) ~= v[1] then
    local j = load(child)
    j.w, j.b = w, b
    place(child, j, target == '3' and 'dependency' or '', 'w', w, 'b', b)
  else
    call('HSET', key('j', child), 'w', w, 'b', b)
  end
end

local function link(parent, child, index)
  call('APPEND', key('out', parent), child .. string.char(math.floor(index / 16777216) % 256,
    math.floor(index / 65536) % 256, math.floor(index / 256) % 256, index % 256))
end

-- Tell the successors of `id`, from the `offset`-th on, what its state now is.
local function settle(id, offset, state)
  if budget <= 0 then
    call('LPUSH', P .. 'todo', 'S' .. id .. ':' .. offset)
    return
  end
  local allowed = budget
  local data = call('GETRANGE', key('out', id), offset * 36, (offset + allowed) * 36 - 1)
  if data == '' then return end
  state = state or call('HGET', key('j', id), 's')
  local found = #data / 36
  for i = 0, found - 1 do
    local a, b, c, d = string.byte(data, i * 36 + 33, i * 36 + 36)
    edge(string.sub(data, i * 36 + 1, i * 36 + 32), ((a * 256 + b) * 256 + c) * 256 + d, edge_state(state))
  end
  budget = budget - found
  if found == allowed then call('LPUSH', P .. 'todo', 'S' .. id .. ':' .. (offset + found)) end
end

local HEX16 = string.rep('%02x', 16)
local function hex(bytes)
  return string.format(HEX16, string.byte(bytes, 1, 16))
end

-- The ids of `wanted` inputs of job `id`, which has `total`, from the `index`-th on.
local function inputs(id, total, index, wanted)
  local ids = {}
  local data = call('GETRANGE', key('in', id), total + index * 16, total + (index + wanted) * 16 - 1)
  for i = 0, #data / 16 - 1 do ids[i + 1] = hex(string.sub(data, i * 16 + 1, i * 16 + 16)) end
  return ids
end

-- Register the edges of `child` to its inputs, from the `index`-th on.
local function register(child, index)
  local total = tonumber(call('HGET', key('j', child), 'n') or 0)
  local allowed = math.min(budget, total - index)
  for i, parent in ipairs(allowed > 0 and inputs(child, total, index, allowed) or {}) do
    local place_in = index + i - 1
    if call('GETRANGE', key('in', child), place_in, place_in) == '0' then
      link(parent, child, place_in)
      edge(child, place_in, edge_state(call('HGET', key('j', parent), 's') or 'WAITING'))
    end
  end
  budget = budget - allowed
  if index + allowed < total then call('LPUSH', P .. 'todo', 'R' .. child .. ':' .. (index + allowed)) end
end

-- Go on with what earlier calls left, as far as the budget goes. Returns whether anything may be left.
local function drain()
  while budget > 0 do
    local entry = call('LPOP', P .. 'todo')
    if not entry then return false end
    local kind, id, offset = string.match(entry, '^(.)(%x+):(%d+)$')
    if kind == 'S' then settle(id, tonumber(offset)) else register(id, tonumber(offset)) end
    budget = budget - 1
  end
  return true
end
