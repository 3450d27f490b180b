-- submit: a batch of jobs joins a run. Use: base rq graph
-- ARGV: 2 run token, 3 its start in ms, 4 code id, 5 packed entries.
-- An entry: {id, task, label, payload, packed inputs (16 bytes each), packed tags, queue, class, priority, known, fence};
-- known: 0 nothing, 1 its result was removed, 2 its record was found (with its fence).
-- Returns one {state, action, code} an entry; action: new, joined, reused, retried, or clash.
local run, start, code = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local experiment = string.match(run, '^(%d+)%.')
local order = tonumber(call('HGET', P .. 'meta', 'order') or 0)
local tags, listed, states = {}, 0, {}

local function write(command, name, values)
  for i = 1, #values, 1000 do call(command, name, unpack(values, i, math.min(i + 999, #values))) end
end

local function swap(list, prefix, token)
  local kept = {}
  for other in string.gmatch(list, '%S+') do
    if other ~= prefix and string.sub(other, 1, #prefix + 1) ~= prefix .. '.' then kept[#kept + 1] = other end
  end
  kept[#kept + 1] = token
  return table.concat(kept, ' ')
end

-- The run lists the job; an older run of the same experiment counts it no longer.
local function enlist(id, j, packed)
  tags[#tags + 1] = id
  tags[#tags + 1] = packed
  local wanted, lists = swap(j.v, experiment, experiment), swap(j.e, experiment, run)
  if lists ~= j.e then
    listed = listed + 1
    if j.s then count(run, j.s, 1) end
  end
  if j.s and (wanted ~= j.v or lists ~= j.e) then call('HSET', key('j', id), 'v', wanted, 'e', lists) end
  j.v, j.e = wanted, lists
end

local function state_of(id)
  states[id] = states[id] or call('HGET', key('j', id), 's') or 'WAITING'
  return states[id]
end

-- A new job is written in one go, where its inputs' states put it; with more inputs than the budget allows, the
-- edges are registered over the continuation list.
local function create(id, entry)
  local n = #entry[5] / 16
  order = order + 1
  local j = { q = entry[7], k = entry[8], p = entry[9], o = order, w = n, b = 0, h = '', e = '', v = '', l = entry[3],
    r = 0, t0 = now }
  enlist(id, j, entry[6])
  call('SET', key('p', id), entry[4])
  local inline = n <= budget
  if n > 0 then
    local bytes = {}
    for i = 0, (inline and n or 0) - 1 do
      local parent = hex(string.sub(entry[5], i * 16 + 1, i * 16 + 16))
      link(parent, id, i)
      local state = edge_state(state_of(parent))
      if state == '2' then j.w = j.w - 1 elseif state == '3' then j.b = j.b + 1 end
      bytes[i + 1] = state
    end
    call('SET', key('in', id), (inline and table.concat(bytes) or string.rep('0', n)) .. entry[5])
    if inline then budget = budget - n end
  end
  local to = entry[10] == 2 and 'DONE' or place_of(j)
  move(id, j, to, entry[10] == 2 and 'found in the workspace' or '', 'd', string.sub(entry[1], 33), 't', entry[2],
    'l', j.l, 'q', j.q, 'k', j.k, 'p', j.p, 'o', j.o, 'n', n, 'w', j.w, 'b', j.b, 'x', 0, 'a', 0, 'c', code, 't0', now,
    'e', j.e, 'v', j.v, 'f', entry[11])
  states[id] = to
  if to == 'READY' then
    call('SADD', P .. 'queues', j.q .. ':' .. j.k)
    ring(j.q .. ':' .. j.k)
  end
  if not inline then call('RPUSH', P .. 'todo', 'R' .. id .. ':0') end
  spread(id, 'WAITING', to)
  return { to, 'new', code }
end

local function renewed(id, entry, ...)
  call('HSET', key('j', id), 'c', code, 'cr', 0, ...)
  call('SET', key('p', id), entry[4])
end

local function join(id, j, entry)
  enlist(id, j, entry[6])
  if entry[9] > j.p then
    j.p = entry[9]
    call('HSET', key('j', id), 'p', j.p)
    if j.s == 'READY' then call('ZADD', ready_key(j), score(j), id) end
  end
  if j.s == 'DONE' then
    if entry[10] ~= 1 then return { 'DONE', 'reused', j.c } end
    renewed(id, entry)
    place(id, j, 'result removed')
    return { j.s, 'retried', code }
  end
  if STARTABLE[j.s] then
    renewed(id, entry)
    return { j.s, 'joined', code }
  end
  if j.s == 'RUNNING' or j.t2 >= start or j.g == run then return { j.s, 'joined', j.c } end
  renewed(id, entry, 'g', run)
  call('DEL', key('err', id))
  place(id, j, 'retried')
  return { j.s, 'retried', code }
end

local replies = {}
for i, entry in ipairs(cmsgpack.unpack(ARGV[5])) do
  local id = string.sub(entry[1], 1, 32)
  local j = load(id)
  if not j then
    replies[i] = create(id, entry)
  elseif j.d ~= string.sub(entry[1], 33) then
    replies[i] = { '', 'clash', '' }
  else
    replies[i] = join(id, j, entry)
    states[id] = j.s
  end
end
write('HSET', key('tags', run), tags)
if listed > 0 then call('HINCRBY', key('run', run), 'total', listed) end
call('HSET', P .. 'meta', 'order', order)
drain()
flush()
return replies
