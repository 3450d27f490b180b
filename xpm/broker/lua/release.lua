-- release: a worker hands its job back unfinished and uncounted. Use: base rq graph lease fetch
-- ARGV 2 to 5: see fetch; 6 job, 7 execution, 8 why. Returns as claim; outcome: the job's new state, or 'fenced'.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = held(id, ARGV[7])
if not j or j.u ~= worker then return fetch('fenced') end
unfinished(id, j, nil, ARGV[8], 'a', j.a - 1)
return fetch(j.s)
