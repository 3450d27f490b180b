-- expire: the second look: a lease that ran out and was not renewed since is taken away. Use: lease
-- ARGV: 2 job, 3 execution, 4 renewal number and 5 time (ms) of the first look, 6 ms that must lie between the two; of
-- one that ends later than any could (see overdue): the longest lease.
-- Returns 1 if the lease was taken.
local id = ARGV[2]
local ends = tonumber(call('ZSCORE', P .. 'leases', id) or now)
local j = held(id, ARGV[3])
local v = call('HMGET', P .. 'meta', 'grace', 'lease')
local longest = tonumber(v[2] or 0)
local between = ends > now + longest and math.max(longest, tonumber(ARGV[6])) or tonumber(ARGV[6])
if (ends >= now and ends <= now + longest) or now - tonumber(ARGV[5]) < between then return 0 end
if now < tonumber(v[1] or 0) then return 0 end
if not j or j.ln ~= ARGV[4] then return 0 end
lost(id, j, 'worker ' .. j.u .. ' was not heard of')
if call('HGET', key('w', j.u), 'g') == id then call('HSET', key('w', j.u), 'g', '') end
rq_worker(j.u)
finish_up()
return 1
