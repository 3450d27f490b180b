-- miss: an input's record is gone: its producer runs again, and this job waits for it. Use: base rq graph lease fetch
-- ARGV 2 to 5: see fetch; 6 job, 7 execution, 8 the input. Returns as claim; outcome: the job's new state, or 'fenced'.
local again = replayed()
if again then return again end
local id, input = ARGV[6], ARGV[8]
local j = held(id, ARGV[7])
if not j or j.u ~= worker then return fetch('fenced') end
local producer = load(input)
if producer and producer.s == 'DONE' then
  place(input, producer, 'result removed')
  settle(input, 0, producer.s)
  j = load(id)
end
unfinished(id, j, nil, 'result of an input removed', 'a', j.a - 1)
return fetch(j.s)
