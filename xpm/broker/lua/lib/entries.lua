-- entries: what submit does with each entry (one file, so that it is over 80 lines).
-- Needs links, rqlive, retry.
local run, start, code = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local experiment, serial = string.match(run, '^(%d+)%.(%d+)$')
local order = tonumber(call('HGET', P .. 'meta', 'order') or 0)
local tags, listed, slots_seen, texts = {}, 0, {}, {}
local WISHES = { 'rs', 'ch', 'nb', 'ry', 'to', 'ru', 'ev' }  -- the fields that a submission sets

-- The run `token` counts the job (`by` 1), or no longer (-1).
local function count_in(token, j, by)
  count(token, j.s, by)
  if awaited(j.h) == 1 then count(token, 'held', by) end
end

-- The run lists the job, and its experiment wants it. An older run of the experiment counts the job no longer; where a
-- newer one lists it, it stays there. Returns whether the run lists it from now on, and whether a newer one does.
local function enlist(j, id, packed)
  local kept, mine, newer = {}, true, false
  for token in string.gmatch(j.e, '%S+') do
    local other, number = string.match(token, '^(%d+)%.(%d+)$')
    if other ~= experiment or tonumber(number) >= tonumber(serial) then
      kept[#kept + 1] = token
      if other == experiment then mine, newer = false, token ~= run end
    else
      count_in(token, j, -1)
    end
  end
  if not string.find(' ' .. j.v .. ' ', ' ' .. experiment .. ' ', 1, true) then
    j.v = j.v == '' and experiment or j.v .. ' ' .. experiment
  end
  if mine then
    kept[#kept + 1] = run
    listed = listed + 1
    if j.s then count_in(run, j, 1) end
  end
  if not newer then
    tags[#tags + 1] = id
    tags[#tags + 1] = packed
  end
  j.e = table.concat(kept, ' ')
  return mine, newer
end

-- The same for a job that nobody wanted before.
local function list_new(j, id, packed)
  listed = listed + 1
  j.e, j.v = run, experiment
  tags[#tags + 1] = id
  tags[#tags + 1] = packed
end

-- The texts of new jobs are written together, since each call from Lua costs more than what it writes.
local function write_texts()
  for i = 1, #texts, 1000 do call('MSET', unpack(texts, i, math.min(i + 999, #texts))) end
  texts = {}
end

local function enter_run()
  write_links()
  write_texts()
  for i = 1, #tags, 1000 do call('HSET', key('tags', run), unpack(tags, i, math.min(i + 999, #tags))) end
  if listed > 0 then call('HINCRBY', key('run', run), 'total', listed) end
  call('HSET', P .. 'meta', 'order', order)
end

local function note(kind, id, text)
  texts[#texts + 1] = key(kind, id)
  texts[#texts + 1] = text
end

local function know_slot(slot)
  if slots_seen[slot] then return end
  slots_seen[slot] = true
  call('SADD', P .. 'queues', slot)
  rq_announce(string.match(slot, '^(.*):'))
end

-- A new job is written in one go, where its inputs' states put it.
local function create(id, entry)
  local n = #entry[5] / 16
  order = order + 1
  local j = { q = entry[7], k = entry[8], p = entry[9], o = order, w = n, b = 0, h = '', m = '', e = '', v = '',
    l = entry[3], r = 0, t0 = now }
  list_new(j, id, entry[6])
  note('p', id, entry[4])
  if n > 0 then
    local text
    text, j.w, j.b = link(id, entry[5])
    note('in', id, text)
  end
  local done = entry[10] == 2
  local made_by = done and entry[12] or code
  for i = 1, #entry[13], 2 do j[entry[13][i]] = entry[13][i + 1] end
  local to = 'DONE'
  if not done then to, j.h = place_of(id, j) end
  if awaited(j.h) == 1 then count(j.e, 'held', 1) end
  local fields = { 'd', string.sub(entry[1], 33), 't', entry[2], 'l', j.l, 'q', j.q, 'k', j.k, 'o', j.o, 'c', made_by,
    't0', now, 'e', j.e, 'v', j.v }
  local function set(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  if j.p ~= 0 then set('p', j.p) end
  if n > 0 then set('n', n) set('w', j.w) end
  if j.b > 0 then set('b', j.b) end
  if done then set('f', entry[11]) set('t2', now) end
  if j.h ~= '' then set('h', j.h) end
  for i = 1, #entry[13] do fields[#fields + 1] = entry[13][i] end
  move(id, j, to, done and 'found in the workspace' or j.h, unpack(fields))
  states[id] = to
  know_slot(slot_of(j))
  spread(id, 'WAITING', to)
  return { to, 'new', made_by }
end

-- What the newest submission wishes holds; what only an earlier one wished does not.
local function wish(id, j, wishes)
  local gone = {}
  for _, name in ipairs(WISHES) do
    if j[name] then gone[#gone + 1] = name end
    j[name] = nil
  end
  if gone[1] then call('HDEL', key('j', id), unpack(gone)) end
  for i = 1, #wishes, 2 do j[wishes[i]] = wishes[i + 1] end
  if wishes[1] then call('HSET', key('j', id), unpack(wishes)) end
end

-- A job that is not running is wanted as the newest submission describes it: payload, code, queue, class, inputs. One
-- that is not ready any more when it is placed anew has left its index then; here it only changes its lines.
local function renew(id, j, entry, ...)
  j.c = code
  local ready, q, k, needed = j.s == 'READY', j.q, j.k, j.rs ~= nil
  if ready then leave(id, j) end
  wish(id, j, entry[13])
  local elsewhere = entry[7] ~= q or entry[8] ~= k or (ready and needed ~= (j.rs ~= nil))
  if elsewhere then rq_hide(id, j) end
  j.q, j.k = entry[7], entry[8]
  if ready then enter(id, j) end
  if elsewhere then
    know_slot(slot_of(j))
    rq_show(id, j, nil, j.s)
  end
  call('HSET', key('j', id), 'c', code, 'q', j.q, 'k', j.k, ...)
  afresh(id, j)
  call('SET', key('p', id), entry[4])
  rewire(id, j, entry[5])
end

local function join(id, j, entry)
  write_texts()  -- it may be new in this call
  local before, wanted = j.e, j.v
  local newly, newer = enlist(j, id, entry[6])
  if j.e ~= before or j.v ~= wanted then call('HSET', key('j', id), 'e', j.e, 'v', j.v) end
  if entry[9] > j.p then
    if j.s == 'READY' then leave(id, j) end
    j.p = entry[9]
    call('HSET', key('j', id), 'p', j.p)
    if j.s == 'READY' then enter(id, j) end
  end
  if j.s == 'DONE' then
    -- A rerun may have published its result, and died before it said so; then it was cancelled.
    if entry[10] == 2 and entry[11] > j.f then call('HSET', key('j', id), 'f', entry[11]) end
    if entry[10] ~= 1 or (entry[11] ~= '' and entry[11] ~= j.f) then return { 'DONE', 'reused', j.c } end
    renew(id, j, entry)
    place(id, j, 'result removed')
    return { j.s, 'retried', code }
  end
  if STARTABLE[j.s] and newer then return { j.s, 'joined', j.c } end
  if STARTABLE[j.s] then
    renew(id, j, entry)
    place(id, j, j.b > 0 and 'dependency' or '')  -- it may have other inputs, or another moment
    return { j.s, 'joined', code }
  end
  -- A run retries a job once: one that failed before the run began, or that was cancelled when the run did not list it.
  local earlier = j.t2 < start or (newly and j.s == 'CANCELLED')
  if j.s == 'RUNNING' or not earlier or j.g == run then return { j.s, 'joined', j.c } end
  renew(id, j, entry, 'g', run)
  call('DEL', key('err', id))
  place(id, j, 'retried')
  return { j.s, 'retried', code }
end
