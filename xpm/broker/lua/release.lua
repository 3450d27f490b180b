-- release: somebody lets jobs go that a person or the brake holds. Use: control holds
-- ARGV: see control. Words: released; blocked, as something else still holds it; short, as only a capacity holds it; free,
-- as none of them held it.
local LIFTED = { person = true, brake = true }

return each(function(id, j)
  local left = {}
  for reason in string.gmatch(j.h, '%S+') do
    if not LIFTED[reason] then left[#left + 1] = reason end
  end
  local holds = table.concat(left, ' ')
  if holds == j.h then return string.find(j.h, 'capacity', 1, true) and 'short' or 'free' end
  if string.find(j.h, 'brake', 1, true) then call('HDEL', P .. 'brakes', j.t) end  -- or it would be held again at once
  hold_for(id, j, holds, signed('released'), 'by', '')
  return j.s == 'HOLD' and 'blocked' or 'released'
end)
