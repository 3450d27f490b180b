-- crash: an execution's process died without a word; the job runs again, up to a limit. Use: lease fetch
-- ARGV 2 to 5: see slots; reply: see calls; 6 job, 7 execution, 8 what is known, 9 'crashed' if there was a process that
-- died alone, or with a zygote of its own; else 'lost', and nobody can say that the job was at fault: of those that shared
-- a zygote, one may have killed it. Outcome: the job's new state, or 'fenced'.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = held(id, ARGV[7], worker)
if not j then return fetch('fenced') end
if ARGV[9] == 'crashed' then crashed(id, j, ARGV[8], life[9] or '', life[10])
else lost(id, j, ARGV[8]) end
return fetch(j.s)
