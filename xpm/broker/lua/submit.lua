-- submit: a batch of jobs joins a run. Use: base rq graph
-- ARGV: 2 run token, 3 its start in ms, 4 code id, 5 packed entries.
-- An entry: {id, task, label, payload, packed inputs (16 bytes each), packed tags, queue, class, priority, known, fence};
-- known: 0 nothing, 1 its result was removed, 2 its record was found (with its fence).
-- Returns one {state, action, code} an entry; action: new, joined, reused, retried.
local run, start, code = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local experiment = string.match(run, '^(%d+)%.')

local function without(list, prefix)
  local kept = {}
  for token in string.gmatch(list, '%S+') do
    if token ~= prefix and string.sub(token, 1, #prefix + 1) ~= prefix .. '.' then kept[#kept + 1] = token end
  end
  return kept
end

-- The run lists the job; an older run of the same experiment does no longer count it.
local function enlist(id, j, tags)
  call('HSET', key('tags', run), id, tags)
  local wanted = without(j.v, experiment)
  wanted[#wanted + 1] = experiment
  j.v = table.concat(wanted, ' ')
  call('HSET', key('j', id), 'v', j.v)
  if string.find(' ' .. j.e .. ' ', ' ' .. run .. ' ', 1, true) then return end
  local listed = without(j.e, experiment)
  listed[#listed + 1] = run
  j.e = table.concat(listed, ' ')
  call('HSET', key('j', id), 'e', j.e)
  call('HINCRBY', key('run', run), 'total', 1)
  if j.s then call('HINCRBY', key('run', run), j.s, 1) end
end

local function create(id, entry)
  local count = #entry[5] / 16
  local order = call('HINCRBY', P .. 'meta', 'order', 1)
  local j = { q = entry[7], k = entry[8], p = entry[9], o = order, w = count, b = 0, h = '', e = '', v = '', l = entry[3], x = 0 }
  call('HSET', key('j', id), 'd', string.sub(entry[1], 33), 't', entry[2], 'l', j.l, 'q', j.q, 'k', j.k, 'p', j.p, 'o', j.o,
    'n', count, 'w', count, 'b', 0, 'x', 0, 'a', 0, 'c', code, 't0', now, 's', 'WAITING')
  enlist(id, j, entry[6])
  call('SET', key('p', id), entry[4])
  if count > 0 then
    call('SET', key('in', id), entry[5])
    call('SET', key('es', id), string.rep('0', count))
  end
  if entry[10] == 2 then
    call('HSET', key('j', id), 'f', entry[11], 't2', now)
    move(id, j, 'DONE', 'found in the workspace')
  elseif count > 0 then
    move(id, j, 'WAITING')
  else
    place(id, j)
  end
  if count > 0 then register(id, 0) end
  if call('EXISTS', key('out', id)) == 1 then call('RPUSH', P .. 'todo', 'S' .. id .. ':0') end
  return { call('HGET', key('j', id), 's'), 'new', code }
end

local function renewed(id, j, entry)
  call('HSET', key('j', id), 'c', code, 'cr', 0)
  call('SET', key('p', id), entry[4])
end

local function join(id, j, entry)
  enlist(id, j, entry[6])
  if entry[9] > j.p then
    j.p = entry[9]
    call('HSET', key('j', id), 'p', j.p)
    if j.s == 'READY' then call('ZADD', ready_key(j), score(j), id) end
  end
  local made = call('HGET', key('j', id), 'c')
  if j.s == 'DONE' then
    if entry[10] ~= 1 then return { 'DONE', 'reused', made } end
    renewed(id, j, entry)
    place(id, j, 'result removed')
    return { j.s, 'retried', code }
  end
  if j.s == 'RUNNING' then return { j.s, 'joined', made } end
  if STARTABLE[j.s] then
    renewed(id, j, entry)
    return { j.s, 'joined', code }
  end
  local v = call('HMGET', key('j', id), 't2', 'g')
  if tonumber(v[1] or 0) >= start or v[2] == run then return { j.s, 'joined', made } end
  renewed(id, j, entry)
  call('HSET', key('j', id), 'g', run)
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
  elseif call('HGET', key('j', id), 'd') ~= string.sub(entry[1], 33) then
    replies[i] = { '', 'clash', '' }
  else
    replies[i] = join(id, j, entry)
  end
end
drain()
return replies
