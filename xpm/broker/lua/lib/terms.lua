-- terms: how long leases last by the server's clock, which may have been set back. Needs base.
local v = call('HMGET', P .. 'meta', 'grace', 'lease')
local longest = now + tonumber(v[2] or 0)  -- when the longest lease ends that begins now

-- Whether a time lies ahead of all that could have been meant: it is from before the clock was set back.
local function misplaced(time)
  return time > longest
end

-- Whether a server began so lately that its holders may not have found it yet.
local function graced()
  local grace = tonumber(v[1] or 0)
  return now < grace and not misplaced(grace)
end

-- Whether what ends at `ends` and was seen overdue at `looked` may not be taken yet; `least`: ms from look to look. Nobody
-- knows when a misplaced one ends; its holder would have renewed it in the time of the longest.
local function too_soon(ends, looked, least)
  if graced() or (ends >= now and not misplaced(ends)) then return true end
  return now - looked < (misplaced(ends) and math.max(longest - now, least) or least)
end
