-- expire: the second look: a lease that ran out and was not renewed since is taken away. Use: terms lease
-- ARGV: 2 job, 3 execution, 4 renewal number and 5 time (ms) of the first look, 6 ms that must lie between the two.
-- Returns 1 if the lease was taken.
local id = ARGV[2]
local j = held(id, ARGV[3])
if too_soon(tonumber(call('ZSCORE', P .. 'leases', id) or now), tonumber(ARGV[5]), tonumber(ARGV[6])) then return 0 end
if not j or j.ln ~= ARGV[4] then return 0 end
unsure = true
lost(id, j, 'worker ' .. j.u .. ' was not heard of')
if call('HGET', key('w', j.u), 'g') == id then call('HSET', key('w', j.u), 'g', '') end
rq_worker(j.u)
finish_up()
return 1
