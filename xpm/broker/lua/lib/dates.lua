-- dates: the server's time as RQ writes it.

-- Days since 1970 to a date, after Howard Hinnant's civil_from_days.
local function iso(ms)
  local seconds = math.floor(ms / 1000)
  local z = math.floor(seconds / 86400) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local s = seconds % 86400
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03d000Z',
    year, month, day, math.floor(s / 3600), math.floor(s / 60) % 60, s % 60, ms % 1000)
end

local stamps = {}
local function at(ms)
  stamps[ms] = stamps[ms] or iso(ms)
  return stamps[ms]
end
