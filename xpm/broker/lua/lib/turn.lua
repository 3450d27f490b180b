-- turn: who of those that wait for tokens and locks may have them now (one file: over 80 lines). Needs served, abroad.
-- Heads, the next of each group and each holder outside of a job, are looked at in the order in which they are served: by
-- priority and turn. One that lacks something lets later ones pass, but for what it is first in line for: that is kept
-- for it, so that a request for all of a token is served while small ones keep coming. One that was overtaken for PATIENCE
-- goes first, and all that it needs is kept for it, so that a request for several is served while each of them is in use.
-- Nothing is kept for jobs that no worker could take now. Of a token that several workspaces wait for, each head leaves to
-- those that are before it in the lines (see abroad) what they keep.

-- All that wait for what any of `members` waits for, for what those wait for, and so on.
local function rivals(members)
  local found, known, asked = {}, {}, {}
  local function add(member)
    if known[member] then return end
    known[member] = true
    local head
    if string.sub(member, 1, 1) == '@' then
      local v = call('HMGET', key('a', string.sub(member, 2)), 'needs', 'order', 'host', 'turn', 'p', 'f', 'seen')
      if v[1] and not v[6] and now - tonumber(v[7] or now) < 10000 then  -- else it has not asked again, as it would
        head = { id = member, rank = tonumber(v[2]), needs = v[1], host = v[3], outside = true,
          turn = tonumber(v[4]), score = tonumber(v[4]) - tonumber(v[5]) * TURN }
      end
    else
      head = next_of(member)
      if head then head.slot, head.needs = parts_of(member) else disband(member) end
    end
    found[#found + 1] = head
  end
  for _, member in ipairs(members) do add(member) end
  local at = 1
  while found[at] do
    for _, need in ipairs(needs_of(found[at].needs)) do
      if not asked[need.resource] then
        asked[need.resource] = true
        for _, member in ipairs(call('ZRANGE', key('wants', need.resource), 0, LINE - 1)) do add(member) end
      end
    end
    at = at + 1
  end
  return found
end

-- The same in the order in which they are served.
local function heads(members)
  local PATIENCE = 300000
  local found, overtaken = rivals(members), call('EXISTS', P .. 'late') == 1
  for _, head in ipairs(overtaken and found or {}) do
    local since = tonumber(call('ZSCORE', P .. 'late', head.id) or now)
    head.late = now - since >= PATIENCE and since or nil
  end
  table.sort(found, function(one, other)
    if one.late ~= other.late then
      return one.late and (not other.late or one.late < other.late) or false
    end
    return before(one, other)
  end)
  return found
end

-- How the call knows what a need names, as seen from `host`.
local function name_of(need, host)
  return need.local_to and need.resource .. '@' .. (host or '') or need.resource
end

-- Of those that `members` contend with, in order and as a worker on `host` sees them: `may` one be served now, and if
-- not, is that for something that all hosts share (`shut`)? What one that may be served needs is left to it if it is
-- about to take it, which `coming` tells. `code` asks, not a worker: then no worker need be on the host, and without one
-- nothing that the host has for itself is kept for jobs. Also returns what is kept: {name, amount (true: all), place}.
local function survey(members, host, coming, code)
  local found, led, kept, given = heads(members), {}, {}, {}
  local abroad = kept_abroad(found, host, code, survey)
  local function keep(name, amount, head)
    kept[name] = amount == true or (kept[name] or 0) + amount
    given[#given + 1] = { name = name, amount = amount, place = head.place }
  end
  -- What is kept from `head`: true, an amount, or nil.
  local function kept_from(head, name)
    local all = kept[name]
    for _, one in ipairs(abroad) do
      if one.name == name and one.place < head.place then
        all = all == true or one.amount == true or (all or 0) + one.amount
      end
    end
    return all
  end
  for _, head in ipairs(found) do
    local at, lacks, blocked = head.host or host, {}, false
    local needs, possible = {}, true
    local absent = code and not head.outside and not attended(head.slot, host)
    for _, need in ipairs(needs_of(head.needs)) do
      local there = not need.local_to or not absent
      if (need.local_to and not at) or (there and need.amount <= account(need, at).capacity) then
        needs[#needs + 1] = need
      else  -- there is not so much of it, or not here: none is kept for it
        possible = false
      end
    end
    for _, need in ipairs(needs) do
      local name = name_of(need, at)
      local before = kept_from(head, name)
      if before == true or not met(need, at, before) then
        if before then blocked = true else lacks[#lacks + 1] = name end
        if not need.local_to then head.shut = true end
      end
    end
    head.may = possible and not blocked and #lacks == 0
    local heeded = head.outside and possible or not head.outside and attended(head.slot)
    local leads = not blocked
    for _, name in ipairs(lacks) do leads = leads and not led[name] end
    for _, name in ipairs(heeded and leads and lacks or {}) do keep(name, true, head) end
    local takes = head.may and heeded and coming(head, host)
    for _, need in ipairs(heeded and needs or {}) do
      local name = name_of(need, at)
      led[name] = true
      if (takes or head.late and not head.may) and kept[name] ~= true then
        keep(name, met(need, at, kept_from(head, name)) and need.amount or true, head)
      end
    end
  end
  return found, given
end

-- `head` is served: those before it that lack what it takes were overtaken.
local function overtake(found, head)
  local takes = {}
  for _, need in ipairs(needs_of(head.needs)) do takes[need.resource] = true end
  for _, other in ipairs(found) do
    if other == head then return end
    for _, need in ipairs(other.may and {} or needs_of(other.needs)) do
      if takes[need.resource] then call('ZADD', P .. 'late', 'NX', now, other.id) end
    end
  end
end

local function next_fence(epoch)
  return string.format('%010d%016d', tonumber(epoch or call('HGET', P .. 'meta', 'epoch') or 0),
    call('HINCRBY', P .. 'meta', 'fence', 1))
end

-- Whether the server's data came in from another's life and nobody greeted it since: what was given out there last may be
-- lost, and a fence must not be given twice.
local function ungreeted()
  return string.match(call('INFO', 'server'), 'run_id:(%x+)') ~= call('HGET', P .. 'meta', 'server')
end

-- Those who wait and are no jobs get what they may have, but for what jobs are about to take that go before them.
local function serve_outside()
  local GRANTS = 20
  local function coming(head, at) return not head.outside and called(head, at) end
  -- The first that may be served, and among whom: as all hosts see it, and as its own does if that has some of it.
  local function first()
    local found, there = survey(here.outside, nil, coming), {}
    for _, head in ipairs(found) do
      local at = string.find(head.needs, '^h%.') and head.host
      if head.outside and head.may and not at then return head, found end
      if head.outside and head.may then
        there[at] = there[at] or survey(here.outside, at, coming, true)
        for _, one in ipairs(there[at]) do
          if one.id == head.id and one.may then return one, there[at] end
        end
      end
    end
  end
  for _ = 1, here.outside[1] and GRANTS or 0 do
    local served, found = first()
    if not served or ungreeted() then  -- they ask again
      here.outside = {}
      return
    end
    overtake(found, served)
    spend(served.id, served.needs, served.host)
    leave_lines(served.id, served.needs)
    local name = string.sub(served.id, 2)
    call('HSET', key('a', name), 'f', next_fence(), 't1', now)
    if call('HEXISTS', key('a', name), 'seen') == 1 then call('ZADD', P .. 'offered', now, name) end  -- see outside
    call('HSET', P .. 'turns', '*', math.max(served.turn, tonumber(call('HGET', P .. 'turns', '*') or 0)))
    call('ZREM', P .. 'late', served.id)
    call('RPUSH', key('bell', served.id), '1')
    call('PEXPIRE', key('bell', served.id), 60000)
  end
  if here.outside[1] then call('RPUSH', P .. 'todo', 'A' .. here.outside[1] .. ':0') end
  here.outside = {}
end
