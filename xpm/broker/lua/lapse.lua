-- lapse: the second look: one that holds tokens or locks outside of a job was not heard of since. Use: terms outside graph
-- ARGV: 2 name, 3 renewal number and 4 time (ms) of the first look, 5 ms that must lie between the two.
-- Returns 1 if what it held is free.
local name = ARGV[2]
if too_soon(tonumber(call('ZSCORE', P .. 'holds', name) or now), tonumber(ARGV[4]), tonumber(ARGV[5])) then return 0 end
if call('HGET', key('a', name), 'n') ~= ARGV[3] then return 0 end
local found = drop(name)
finish_up()
return found and 1 or 0
