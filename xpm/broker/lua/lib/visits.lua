-- visits: what a call has changed of tokens is told to the other workspaces that wait for them. Needs turn.

-- Whoever waits there is looked at again, served, or called.
local function visit()
  if here.away then return end
  local changed = here.stirred
  here.stirred = {}
  for resource in pairs(changed) do
    for _, prefix in ipairs(waiting_for(resource)) do
      if prefix ~= P then
        within(prefix, function()
          reopen(resource)
          serve_outside()
          peal()
        end)
      end
    end
  end
end
