-- graph: edges, and what news of a job does to its successors (with its head over 80 lines). Needs moves.
-- `in:<id>`: one byte for each input (0 unregistered, 1 open, 2 met, 3 blocked), then the inputs' ids, 16 bytes each.
-- `out:<id>`: for each successor its id (32 digits) and which of its inputs this is (4 bytes).
-- `w` of a job counts its inputs that are not met, `b` the blocked ones; byte and count change together, in one call.

-- What a job's state means to an edge that leaves it.
local function edge_state(state)
  if state == 'DONE' then return '2' end
  return BLOCKS[state] and '3' or '1'
end

-- The successors of a job that went from `from` to `to` hear of it over the continuation list: first of all that it is done
-- no more, since until then one that is READY passes for one that may start (see `look_up`).
local function spread(id, from, to)
  if edge_state(from) == edge_state(to) or call('EXISTS', key('out', id)) == 0 then return end
  if from == 'DONE' then call('LPUSH', P .. 'todo', 'U' .. id .. ':0') else call('RPUSH', P .. 'todo', 'S' .. id .. ':0') end
end

-- The reasons `held` to hold a job, with `reason` among them (`on`) or not.
local function reasons(held, reason, on)
  local kept = {}
  for other in string.gmatch(held, '%S+') do
    if other ~= reason then kept[#kept + 1] = other end
  end
  if on then kept[#kept + 1] = reason end
  return table.concat(kept, ' ')
end

-- Where a job that is not running stands, by its inputs, its holds and the clock, and its holds; needs beyond a capacity
-- are a reason to hold one that waits for nothing else.
local function place_of(id, j)
  local h, later = j.h, j.nb and j.nb > now
  if j.rs or h ~= '' then
    local resource = j.rs and j.b == 0 and j.w == 0 and not later and exceeds(j.rs)
    h = reasons(h, 'capacity', resource)
    if resource then call('SADD', key('over', resource), id) end
  end
  if j.b > 0 or h ~= '' then return 'HOLD', h end
  if j.w > 0 then return 'WAITING', h end
  return later and 'SCHEDULED' or 'READY', h
end

-- Put a job that is not running where its edges, its holds and the clock say. Further fields to set may follow.
local function place(id, j, why, ...)
  local from, to, h = j.s, place_of(id, j)
  if h ~= j.h then
    local by = awaited(h) - awaited(j.h)
    if by ~= 0 then count(j.e, 'held', by) end
    call('HSET', key('j', id), 'h', h)
    if to == 'HOLD' and j.b == 0 then why = h end
    if to == from and to == 'HOLD' and not held_by_person(h) then  -- held on, for another reason
      j.m = j.b == 0 and h or 'dependency'
      call('HSET', key('j', id), 'm', j.m)
    end
  end
  j.h = h
  if to == from then
    if to == 'SCHEDULED' then postpone(id, j) end  -- perhaps to another moment
    if ... then call('HSET', key('j', id), ...) end
    return
  end
  move(id, j, to, why, ...)
  spread(id, from, to)
end

-- These experiments want the job. Said before it is placed: it stands in the lane of one of them.
local function wanted_by(id, j, experiments)
  j.v = experiments
  call('HSET', key('j', id), 'v', experiments)
end

-- The experiments that list the job.
local function listed_by(j)
  local wanted = {}
  for experiment in string.gmatch(j.e, '(%d+)%.%d+') do wanted[#wanted + 1] = experiment end
  return table.concat(wanted, ' ')
end

-- A job that was to run again, and does not or has failed: the result that it had stays.
local function restore(id, j, why, ...)
  move(id, j, 'DONE', why, 't2', now, 'f', j.rr, ...)
  call('HDEL', key('j', id), 'rr', 'un')
  call('DEL', key('err', id))
end

-- The id in the 16 bytes of `data` from `at` on.
local function hex(data, at)
  local a, b, c, d = struct.unpack('>I4I4I4I4', data, at)
  return string.format('%08x%08x%08x%08x', a, b, c, d)
end

-- Whether input number `index` of a job that was given other inputs is still `parent`: what `out` of others says of it
-- may be older.
local function leads(child, index, parent)
  local total = tonumber(call('HGET', key('j', child), 'n') or 0)
  local raw = index < total and call('GETRANGE', key('in', child), total + index * 16, total + index * 16 + 15)
  return raw and hex(raw, 1) == parent
end

-- Edge number `index` into `child`, from `parent`, gets the state `target`.
local function edge(child, index, target, parent)
  local old = call('GETRANGE', key('in', child), index, index)
  if old == '' or old == target then return end
  local j = glance(child)
  if not j or (j.rw and not leads(child, index, parent)) then return end
  call('SETRANGE', key('in', child), index, target)
  local b = j.b
  if target == '2' then j.w = j.w - 1 elseif old == '2' then j.w = j.w + 1 end
  if target == '3' then j.b = b + 1 elseif old == '3' then j.b = b - 1 end
  local to, h = place_of(child, j)
  if STARTABLE[j.s] and (to ~= j.s or h ~= j.h) then
    place(child, j, target == '3' and 'dependency' or '', 'w', j.w, 'b', j.b)
  elseif j.b == b then
    call('HSET', key('j', child), 'w', j.w)
  else
    call('HSET', key('j', child), 'w', j.w, 'b', j.b)
  end
end

-- How `out` of a job says, behind the id of a successor, that it is that one's input number `index`.
local places = {}
local function place_in(index)
  places[index] = places[index] or struct.pack('>I4', index)
  return places[index]
end

-- Tell the successors of `id`, from the `offset`-th on, what its state now is: `state`, or as an entry of `kind` says.
local function settle(id, offset, state, kind)
  local push = state and 'RPUSH' or 'LPUSH'  -- what this call begins comes behind all entries, those of U above all
  kind = kind or 'S'
  if budget <= 0 then
    call(push, P .. 'todo', kind .. id .. ':' .. offset)
    return
  end
  local allowed = budget
  local data = call('GETRANGE', key('out', id), offset * 36, (offset + allowed) * 36 - 1)
  if data == '' then return end
  local target = edge_state(state or call('HGET', key('j', id), 's'))
  local found = #data / 36
  for i = 0, found - 1 do
    edge(string.sub(data, i * 36 + 1, i * 36 + 32), struct.unpack('>I4', data, i * 36 + 33), target, id)
  end
  budget = budget - found
  if found == allowed then call(push, P .. 'todo', kind .. id .. ':' .. (offset + found)) end
end

-- The ids of `wanted` inputs of job `id`, which has `total`, from the `index`-th on.
local function inputs(id, total, index, wanted)
  local ids = {}
  local data = call('GETRANGE', key('in', id), total + index * 16, total + (index + wanted) * 16 - 1)
  for i = 1, #data / 16 do ids[i] = hex(data, i * 16 - 15) end
  return ids
end

-- The edges of `child` to its inputs, from the `index`-th on: `R`, register them; `L`, those that are say what the inputs'
-- states now are.
local function register(child, index, kind)
  local total = tonumber(call('HGET', key('j', child), 'n') or 0)
  local allowed = math.max(0, math.min(budget, total - index))  -- the job may have fewer inputs than it had
  local known = allowed > 0 and call('GETRANGE', key('in', child), index, index + allowed - 1)
  for i, parent in ipairs(known and inputs(child, total, index, allowed) or {}) do
    local at, fresh = index + i - 1, string.sub(known, i, i) == '0'
    if fresh and kind == 'R' then call('APPEND', key('out', parent), child .. place_in(at)) end
    if fresh == (kind == 'R') then edge(child, at, edge_state(call('HGET', key('j', parent), 's')), parent) end
  end
  budget = budget - allowed
  if index + allowed < total then call('LPUSH', P .. 'todo', kind .. child .. ':' .. (index + allowed)) end
end

-- Job `id`, not running, when its edges tell of no input that it is done and is to run again: while news of such stand
-- first on the list, they may. If it has more inputs than the budget allows, it waits until they have been looked up.
local function look_up(id, j)
  if j.n == 0 or string.sub(call('LINDEX', P .. 'todo', 0) or '', 1, 1) ~= 'U' then return j end
  if j.n <= budget then
    register(id, 0, 'L')
    return load(id)
  end
  call('SETRANGE', key('in', id), 0, (string.gsub(call('GETRANGE', key('in', id), 0, j.n - 1), '[23]', '1')))
  call('RPUSH', P .. 'todo', 'L' .. id .. ':0')
  j.w, j.b = j.n, 0
  if STARTABLE[j.s] then place(id, j, '', 'w', j.w, 'b', 0) else call('HSET', key('j', id), 'w', j.w, 'b', 0) end
  return j
end

-- A capacity was changed: jobs that need more of it than there is are held, those that need no more than that are not.
-- `G`: those of a group; `O`: those that were held for a resource.
local function refit(kind, name)
  for _ = 1, budget do
    local id
    if kind == 'O' then id = call('SPOP', key('again', name)) else id = (next_of(name) or {}).id end
    local j = id and glance(id)
    if not id or (kind == 'G' and not exceeds(j.rs)) then return end
    if j and STARTABLE[j.s] then place(id, j, '') end
    budget = budget - 1
  end
  call('LPUSH', P .. 'todo', kind .. name .. ':0')
end

-- Some of the jobs whose moment has come may start. Returns whether there may be more of them.
local function come_due()
  local DUE = 20  -- so many at once
  local ids = call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, DUE)
  for _, id in ipairs(ids) do
    local j = glance(id)
    place(id, j, j.m)
  end
  return #ids == DUE
end

-- Go on with what earlier calls left, as far as the budget goes. Returns whether anything may be left.
local function drain()
  local more = come_due()
  while budget > 0 do
    local entry = call('LPOP', P .. 'todo')
    if not entry then return more end
    local kind, name, offset = string.match(entry, '^(.)(.+):(%d+)$')
    if kind == 'S' or kind == 'U' then settle(name, tonumber(offset), nil, kind)
    elseif kind == 'R' or kind == 'L' then register(name, tonumber(offset), kind)
    elseif kind == 'A' then here.outside[#here.outside + 1] = name
    else refit(kind, name) end
    budget = budget - 1
  end
  return true
end

-- The end of a script that no worker called: if something is left, a worker is woken that goes on with it.
local function finish_up()
  if drain() then
    for _, slot in ipairs(call('SMEMBERS', P .. 'queues')) do
      if call('EXISTS', key('idle', slot), key('idle', any_queue(slot))) > 0 then
        ring(slot)
        break
      end
    end
  end
  flush()
end
