-- links: the edges of submitted jobs to their inputs. Needs graph.
local states, parents, links = {}, {}, {}

local function state_of(id)
  states[id] = states[id] or call('HGET', key('j', id), 's') or 'WAITING'
  return states[id]
end

-- The edges of job `id` to its inputs, 16 bytes each: what `in` has of it, how many are not met, and how many blocked.
-- More than the budget allows are registered over the continuation list.
local function link(id, inputs_of)
  local n, bytes, open, blocked = #inputs_of / 16, {}, #inputs_of / 16, 0
  if n > budget then
    call('RPUSH', P .. 'todo', 'R' .. id .. ':0')
    return string.rep('0', n) .. inputs_of, n, 0
  end
  for i = 1, n do
    local raw = string.sub(inputs_of, i * 16 - 15, i * 16)
    local parent = parents[raw] or hex(raw, 1)
    parents[raw] = parent
    local successors = links[parent] or {}
    links[parent] = successors
    successors[#successors + 1] = id
    successors[#successors + 1] = place_in(i - 1)
    bytes[i] = edge_state(state_of(parent))
    if bytes[i] == '2' then open = open - 1 elseif bytes[i] == '3' then blocked = blocked + 1 end
  end
  budget = budget - n
  return table.concat(bytes) .. inputs_of, open, blocked
end

-- What the parents' `out` gets, written at the end of the call: what goes to one key goes in one.
local function write_links()
  for parent, successors in pairs(links) do call('APPEND', key('out', parent), table.concat(successors)) end
end

-- The job needs other inputs than before, or the same in another order: parameters that do not identify it were
-- changed, or those that do stand elsewhere. The old edges stay in `out` of the old inputs and lead nowhere (`leads`).
local function rewire(id, j, inputs_of)
  local before = j.n > 0 and call('GETRANGE', key('in', id), j.n, -1) or ''
  if before == inputs_of then return end
  local text
  j.n = #inputs_of / 16
  text, j.w, j.b = link(id, inputs_of)
  if text == '' then call('DEL', key('in', id)) else call('SET', key('in', id), text) end
  call('HSET', key('j', id), 'n', j.n, 'w', j.w, 'b', j.b, 'rw', 1)
end
