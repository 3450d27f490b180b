-- graph: moving jobs between states, settling edges, ringing workers. Needs base, rq.

-- The only place where a state changes: index, counts of the runs that list the job, revision, event, projection.
local function move(id, j, to, why)
  local from = j.s
  if from then call('ZREM', key('s', from), id) end
  call('ZADD', key('s', to), now, id)
  for run in string.gmatch(j.e, '%S+') do
    if from then call('HINCRBY', key('run', run), from, -1) end
    call('HINCRBY', key('run', run), to, 1)
  end
  local revision = call('HINCRBY', key('j', id), 'r', 1)
  call('HSET', key('j', id), 's', to, 'm', why or '')
  call('XADD', P .. 'events', 'MAXLEN', '~', 100000, '*', 'j', id, 's', to, 'r', revision, 'e', j.e, 'm', why or '')
  if to ~= 'RUNNING' then rq_show(id, j, from, to) elseif from == 'READY' then
    call('LREM', 'rq:queue:' .. rq_queue(j.q), 1, rq_id(id))
  end
  j.s = to
end

-- Wake one idle worker that serves queue `q`, class `k`; a dead one is passed over.
local function ring(q, k)
  local idle = key('idle', q .. ':' .. k)
  for _ = 1, 8 do
    local worker = call('ZPOPMIN', idle)[1]
    if not worker then return end
    local slots = call('HGET', key('w', worker), 'i')
    if slots then
      for slot in string.gmatch(slots, '%S+') do call('ZREM', key('idle', slot), worker) end
      call('RPUSH', key('bell', worker), '1')
      call('PEXPIRE', key('bell', worker), 60000)
      return
    end
  end
end

local function ready_key(j)
  return key('ready', j.q .. ':' .. j.k)
end

-- Priority before order: 13 bits of priority above 40 bits of order fit a double exactly.
local function score(j)
  return -j.p * 1099511627776 + j.o
end

-- What a job's state means to an edge that leaves it.
local function edge_state(state)
  if state == 'DONE' then return '2' end
  return BLOCKS[state] and '3' or '1'
end

-- Put a job that is not running where its edges and holds say; successors of a job that enters or leaves
-- HOLD, or stops being an end, are walked over the list `todo`.
local function place(id, j, why)
  local to = 'READY'
  if j.b > 0 or j.h ~= '' then to = 'HOLD' elseif j.w > 0 then to = 'WAITING' end
  local from = j.s
  if to == from then return end
  if from == 'READY' then call('ZREM', ready_key(j), id) end
  move(id, j, to, why)
  if to == 'READY' then
    call('ZADD', ready_key(j), score(j), id)
    call('SADD', P .. 'queues', j.q .. ':' .. j.k)
    ring(j.q, j.k)
  end
  if edge_state(from or 'WAITING') ~= edge_state(to) and call('EXISTS', key('out', id)) == 1 then
    call('RPUSH', P .. 'todo', 'S' .. id .. ':0')
  end
end

-- Edge states, one byte each: 0 not yet registered, 1 open, 2 met, 3 blocked. `w` counts all but met, `b` the blocked.
local function edge(child, index, target)
  local old = call('GETRANGE', key('es', child), index, index)
  if old == '' or old == target then return end
  local j = load(child)
  if not j then return end
  call('SETRANGE', key('es', child), index, target)
  if target == '2' then j.w = j.w - 1 elseif old == '2' then j.w = j.w + 1 end
  if target == '3' then j.b = j.b + 1 elseif old == '3' then j.b = j.b - 1 end
  call('HSET', key('j', child), 'w', j.w, 'b', j.b)
  if STARTABLE[j.s] then place(child, j, target == '3' and 'dependency' or '') end
end

-- Tell the successors of `id`, from the `offset`-th on, what its state now is.
local function settle(id, offset)
  if budget <= 0 then
    call('LPUSH', P .. 'todo', 'S' .. id .. ':' .. offset)
    return
  end
  local state = call('HGET', key('j', id), 's')
  if not state then return end
  local target = edge_state(state)
  local data = call('GETRANGE', key('out', id), offset * 36, (offset + budget) * 36 - 1)
  local count = #data / 36
  for i = 0, count - 1 do
    local a, b, c, d = string.byte(data, i * 36 + 33, i * 36 + 36)
    edge(string.sub(data, i * 36 + 1, i * 36 + 32), ((a * 256 + b) * 256 + c) * 256 + d, target)
  end
  local full = count == budget
  budget = budget - count
  if full then call('LPUSH', P .. 'todo', 'S' .. id .. ':' .. (offset + count)) end
end

local HEX
local function hex(bytes)
  if not HEX then
    HEX = {}
    for i = 0, 255 do HEX[string.char(i)] = string.format('%02x', i) end
  end
  return (string.gsub(bytes, '.', HEX))
end

-- Register the edges of `child` to its inputs, from the `index`-th on.
local function register(child, index)
  if budget <= 0 then
    call('LPUSH', P .. 'todo', 'R' .. child .. ':' .. index)
    return
  end
  local inputs = call('GETRANGE', key('in', child), index * 16, (index + budget) * 16 - 1)
  local count = #inputs / 16
  for i = 0, count - 1 do
    local at = index + i
    if call('GETRANGE', key('es', child), at, at) == '0' then
      local parent = hex(string.sub(inputs, i * 16 + 1, i * 16 + 16))
      call('APPEND', key('out', parent), child .. string.char(math.floor(at / 16777216) % 256,
        math.floor(at / 65536) % 256, math.floor(at / 256) % 256, at % 256))
      edge(child, at, edge_state(call('HGET', key('j', parent), 's') or 'WAITING'))
    end
  end
  local full = count == budget
  budget = budget - count
  if full then call('LPUSH', P .. 'todo', 'R' .. child .. ':' .. (index + count)) end
end

-- Go on with what earlier calls left, as far as the budget goes.
local function drain()
  while budget > 0 do
    local entry = call('LPOP', P .. 'todo')
    if not entry then return end
    local kind, id, at = string.match(entry, '^(.)(%x+):(%d+)$')
    if kind == 'S' then settle(id, tonumber(at)) else register(id, tonumber(at)) end
    budget = budget - 1
  end
end
