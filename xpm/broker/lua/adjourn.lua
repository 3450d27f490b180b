-- adjourn: a task ended itself to be continued, at once and uncounted; not for ever. Use: lease fetch
-- ARGV 2 to 5: see slots; reply: see calls; 6 job, 7 execution, 8 why. Outcome: the job's new state, or 'fenced'.
local again = replayed()
if again then return again end
local id = ARGV[6]
local j = held(id, ARGV[7], worker)
if not j then return fetch('fenced') end
seen(id, j)
local ends = early_ends(j)
if ends < EARLY_ENDS then
  unfinished(id, j, nil, ARGV[8], 'a', j.a - 1, 'gt', ends)
else
  call('SET', key('err', id), cmsgpack.pack({ kind = 'exception', type = 'GracefulTimeout', traceback = '',
    message = ends .. ' times in a row it ended itself within a minute and without progress, to be continued' }))
  unfinished(id, j, 'ERROR', 'ended itself ' .. ends .. ' times without progress')
end
return fetch(j.s)
