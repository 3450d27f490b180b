-- ready: the index of what may start, and who is next (with its head over 80 lines). Needs needs, bells.
-- READY jobs of one slot and equal needs form a group: '<queue>:<class>', or '<queue>:<class>:<needs>'. Within a group each
-- experiment has a lane for each priority, `ready:<group>:<priority>.<experiment>`, in which the longest chain goes first,
-- then who came first. `lanes:<group>` orders lanes by priority, then by the experiment's turn: whose jobs were started
-- least, as in start-time fair queueing (Goyal, Vin, Cheng 1996). Turns only grow; a lane's is corrected when it is met.
local TURN = 1099511627776  -- 40 bits of turn below the priority

local function slot_of(j)
  return j.q .. ':' .. j.k
end

local function group_of(j)
  return j.rs and j.q .. ':' .. j.k .. ':' .. j.rs or j.q .. ':' .. j.k
end

local function lane_of(j)
  return j.p .. '.' .. (string.match(j.v, '%d+') or '0')
end

local function rank_of(j)
  local RANK = 4294967296  -- 32 bits of order below the rank
  return j.o - (j.ch or 0) * RANK
end

local function turn_of(experiment)
  here.turns[experiment] = here.turns[experiment] or tonumber(call('HGET', P .. 'turns', experiment) or 0)
  return here.turns[experiment]
end

-- Two values: a lane's place among those of its group, and its experiment.
local function score_of(lane)
  local priority, experiment = string.match(lane, '^(-?%d+)%.(%d+)$')
  return turn_of(experiment) - tonumber(priority) * TURN, experiment
end

-- A group that needs tokens is looked at by claims while it may have what it needs: `opened:<slot>:<lane>` has those with
-- jobs in the lane, by the rank of the first; `open:<slot>` orders these lanes. Both are corrected when they are met.
local function open_up(group, only)
  local slot = parts_of(group)
  for _, lane in ipairs(only and { only } or call('ZRANGE', key('lanes', group), 0, -1)) do
    local head = call('ZRANGE', key('ready', group .. ':' .. lane), 0, 0, 'WITHSCORES')
    if head[1] then
      call('ZADD', key('opened', slot .. ':' .. lane), head[2], group)
      call('ZADD', key('open', slot), 'NX', (score_of(lane)), lane)
    end
  end
end

-- It lacks something: nobody looks at it before that is given back.
local function shut(group, only)
  local slot = parts_of(group)
  for _, lane in ipairs(only and { only } or call('ZRANGE', key('lanes', group), 0, -1)) do
    local name = key('opened', slot .. ':' .. lane)
    if call('ZREM', name, group) == 1 and call('EXISTS', name) == 0 then call('ZREM', key('open', slot), lane) end
  end
end

-- It stands in the line of each thing that it needs (`wants`) while it has jobs.
local function line_up_for(member, needs)
  for _, need in ipairs(needs_of(needs)) do
    local added = call('ZADD', key('wants', need.resource), 'NX', now, member) == 1
    if added and need.shared then stand_last(need.resource, false) end
  end
end

local function leave_lines(member, needs)
  for _, need in ipairs(needs_of(needs)) do
    local wants = key('wants', need.resource)
    local removed = call('ZREM', wants, member) == 1
    if removed and need.shared and call('EXISTS', wants) == 0 then call('ZREM', line_of(need.resource), P) end
  end
end

local function disband(group)
  local _, needs = parts_of(group)
  if needs == '' then return end
  leave_lines(group, needs)
  call('SREM', P .. 'groups', group)
end

local LINE = 1000  -- so many of those that wait for a resource are looked at, those that came first

-- Some of a resource came back, or may go to another than it was kept for: who waits for it is looked at again, in other
-- workspaces at the end of the call.
local function reopen(resource)
  if here.reopened[resource] then return end
  here.reopened[resource] = true
  if shared(resource) then here.stirred[resource] = true end
  for _, member in ipairs(call('ZRANGE', key('wants', resource), 0, LINE - 1)) do
    if string.sub(member, 1, 1) == '@' then
      here.outside[#here.outside + 1] = member
    else
      open_up(member)
      ring(member)
    end
  end
end

-- Nobody is about to take what a group needs any more: code that waits for it is looked at again, and if the worker that
-- was called is `gone`, not just idle again, so are those that wait in other workspaces.
local function offer(group, gone)
  local _, needs = parts_of(group)
  for _, need in ipairs(needs_of(needs)) do
    if gone and need.shared then here.stirred[need.resource] = true end
    for _, member in ipairs(call('ZRANGE', key('wants', need.resource), 0, LINE - 1)) do
      if string.sub(member, 1, 1) == '@' then here.outside[#here.outside + 1] = member end
    end
  end
end

-- A job that several experiments want stands in the lane of the one in which it comes to its turn first, as far as one can
-- tell: that one is named first.
local function choose(id, j)
  local names, best = {}, nil
  for experiment in string.gmatch(j.v, '%d+') do
    local place = turn_of(experiment) + call('ZCARD', key('ready', group_of(j) .. ':' .. j.p .. '.' .. experiment))
    if not best or place < best then
      best = place
      table.insert(names, 1, experiment)
    else
      names[#names + 1] = experiment
    end
  end
  local v = table.concat(names, ' ')
  if v == j.v then return end
  j.v = v
  call('HSET', key('j', id), 'v', v)
end

-- Job `id` may start as far as its inputs are concerned.
local function enter(id, j)
  if string.find(j.v, ' ', 1, true) then choose(id, j) end
  local group, lane = group_of(j), lane_of(j)
  local line = key('ready', group .. ':' .. lane)
  call('ZADD', line, rank_of(j), id)
  if not here.occupied[line] then
    here.occupied[line] = true
    if call('ZCARD', line) == 1 then
      call('ZADD', key('lanes', group), (score_of(lane)), lane)
      if j.rs then
        line_up_for(group, j.rs)
        call('SADD', P .. 'groups', group)
      end
    end
  end
  if not j.rs then
    ring(group)
    return
  end
  call('HSET', key('j', id), 'tw', j.tw or now)
  if fits(j.rs) then
    open_up(group, lane)
    ring(group)
  end
end

-- Take `id` out of a lane, which ends with its last.
local function take_out(id, group, lane)
  local line = key('ready', group .. ':' .. lane)
  call('ZREM', line, id)
  if call('EXISTS', line) == 0 then
    here.occupied[line] = nil
    call('ZREM', key('lanes', group), lane)
    if string.find(group, ':%d+:') then shut(group, lane) end
    if call('EXISTS', key('lanes', group)) == 0 then disband(group) end
  end
end

-- Job `id` leaves the index; `started`: for a worker.
local function leave(id, j, started)
  take_out(id, group_of(j), lane_of(j))
  if not j.rs then return end
  call('ZREM', P .. 'late', id)
  if started then return end
  j.tw = call('HGET', key('j', id), 'tw')  -- it waits on if it only changes its lane
  for _, need in ipairs(needs_of(j.rs)) do reopen(need.resource) end  -- it may have been kept for this one
end

-- The users who share the namespace, if there are several: experiments of one share their user's turn.
local function share_of(group, priority, experiment)
  if call('SCARD', P .. 'users') < 2 then return 1 end
  local user, share = call('HGET', P .. 'owners', experiment), 0
  for _, lane in ipairs(call('ZRANGE', key('lanes', group), 0, 99)) do
    local other_priority, other = string.match(lane, '^(-?%d+)%.(%d+)$')
    if other_priority == priority and call('HGET', P .. 'owners', other) == user then share = share + 1 end
  end
  return math.max(share, 1)
end

-- A job of the group was started: its experiment's turn is over.
local function charge(group, j)
  local lane = lane_of(j)
  local priority, experiment = string.match(lane, '^(-?%d+)%.(%d+)$')
  local v = call('HMGET', P .. 'turns', experiment, '*')
  local virtual = tonumber(v[2] or 0)
  local begin = math.max(tonumber(v[1] or 0), virtual)
  here.turns[experiment] = begin + share_of(group, priority, experiment)
  call('HSET', P .. 'turns', experiment, here.turns[experiment], '*', begin)
  call('ZADD', key('lanes', group), 'XX', (score_of(lane)), lane)
end

-- Who is next of a group; nil when nobody is.
local function next_of(group)
  for _ = 1, 1000 do
    local v = call('ZRANGE', key('lanes', group), 0, 0, 'WITHSCORES')
    if not v[1] then return nil end
    local score = score_of(v[1])
    if score > tonumber(v[2]) then
      call('ZADD', key('lanes', group), score, v[1])
    else
      local w = call('ZRANGE', key('ready', group .. ':' .. v[1]), 0, 0, 'WITHSCORES')
      if w[1] then return { id = w[1], score = score, rank = tonumber(w[2]), group = group, lane = v[1] } end
      call('ZREM', key('lanes', group), v[1])  -- a lane without jobs must not hold up the others
      if string.find(group, ':%d+:') then shut(group, v[1]) end
    end
  end
end

local function before(one, other)
  if one.score ~= other.score then return one.score < other.score end
  return one.rank < other.rank
end

-- Whether a job of the group may start, for all that is known; not on the word of a worker that looked and found nothing
-- (`looked`), if it needs tokens.
local function startable(group, looked)
  local slot, needs = parts_of(group)
  if needs == '' then return call('EXISTS', key('lanes', group)) == 1 end
  for _, lane in ipairs(looked and {} or call('ZRANGE', key('lanes', group), 0, -1)) do
    if call('ZSCORE', key('opened', slot .. ':' .. lane), group) then return true end
  end
  return false
end
