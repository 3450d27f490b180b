-- hand_back: a worker hands its job back unfinished and uncounted. Use: lease fetch
-- ARGV 2 to 5: see slots; reply: see calls; 6 job, 7 execution, 8 why. Outcome: the job's new state, or 'fenced'.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = held(id, ARGV[7], worker)
if not j then return fetch('fenced') end
returned(id, j, ARGV[8])
return fetch(j.s)
