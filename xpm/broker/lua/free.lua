-- free: what was acquired comes back, or is waited for no longer. Use: outside graph
-- ARGV: 2 name. Returns 1 if there was anything.
local found = drop(ARGV[2])
finish_up()
return found and 1 or 0
