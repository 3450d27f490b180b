-- abroad: other workspaces of the server, as far as tokens are shared with them. Needs ready.

-- Does `act` as a call from the workspace with keys that begin with `prefix`: what is known of this one is put aside.
-- Nothing is done to one that a newer or older xpm made, or that is gone.
local function within(prefix, act)
  if call('HGET', prefix .. 'meta', 'schema') ~= call('HGET', P .. 'meta', 'schema') then return end
  local at, home, mine = P, NS, here
  P, NS, here = prefix, string.sub(prefix, 5, -2), nothing()
  here.away = true
  act()
  P, NS, here = at, home, mine
end

-- Whether a worker is about to take the job of `head`: its bell has just rung, or rings now. `at`: one on this host.
local function called(head, at)
  for _, one in ipairs(call('SMEMBERS', key('coming', head.group))) do
    if not at or call('HGET', key('w', one), 'host') == at then return true end
  end
  local j = load(head.id)
  if not j or j.s ~= 'READY' or not idle_for(head.slot, head.needs, j.ah, at) then return false end
  ring(head.group)  -- nobody may have rung lately, and all sleep on
  return true
end

-- What other workspaces keep of the tokens that the heads `found` need, as `survey` finds it there: {name, amount, place}.
-- The place of a head is the last of those that its workspace has in the lines of what it needs, and not before that of a
-- head before it. Places have one order for all, so nobody waits in a circle.
local function kept_abroad(found, host, code, survey)
  local kept, others, places, last = {}, {}, {}, 0
  for _, head in ipairs(found) do
    for _, need in ipairs(needs_of(head.needs)) do
      local resource = need.resource
      local line = need.shared and not places[resource] and call('ZRANGE', line_of(resource), 0, -1, 'WITHSCORES') or {}
      places[resource] = places[resource] or 0
      for i = 1, #line, 2 do
        local prefix, place = line[i], tonumber(line[i + 1])
        if prefix == P then places[resource] = place
        elseif not here.away then others[#others + 1] = { resource = resource, prefix = prefix, place = place } end
      end
      last = math.max(last, places[resource])
    end
    head.place = last
  end
  local function coming(head, at) return head.outside or called(head, at) end
  for _, other in ipairs(others) do
    if other.place < last then
      within(other.prefix, function()
        local _, given = survey(call('ZRANGE', key('wants', other.resource), 0, LINE - 1), host, coming, code)
        for _, one in ipairs(given) do
          if string.match(one.name, '^[^@]+') == other.resource then kept[#kept + 1] = one end
        end
        peal()
      end)
    end
  end
  return kept
end
