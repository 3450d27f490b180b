-- due: who is awake when the moment of a job comes. Needs moves.

-- How many ms it is until the first moment for which a job waits; '' if none does.
local function next_due()
  local first = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')[2]
  return first and math.max(0, tonumber(first) - now) or ''
end

-- The caller, which was idle and knew the next moment, or which has just postponed a job, is busy from now on: an idle
-- worker is to know it.
local function pass_on(was_idle)
  if not was_idle and not postponed then return end
  local first = call('ZRANGE', P .. 'due', 0, 0)[1]
  if first then ring(slot_of(glance(first))) end
end
