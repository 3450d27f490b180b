-- miss: an input's record is gone: its producer runs again, and this job waits for it. Use: lease fetch
-- ARGV 2 to 5: see slots; reply: see calls; 6 job, 7 execution, 8 the input. Outcome: the job's new state, or 'fenced'.
local again = replayed()
if again then return again end
local id, input = ARGV[6], ARGV[8]
local j = held(id, ARGV[7], worker)
if not j then return fetch('fenced') end
local producer = load(input)
local wanted = producer and (producer.v ~= '' and producer.v or j.v) or ''  -- at least by whom the job is wanted
for index, input_id in ipairs(producer and inputs(id, j.n, 0, j.n) or {}) do
  if input_id == input then
    if producer.s == 'DONE' and wanted ~= '' then
      wanted_by(input, producer, wanted)
      place(input, producer, 'result removed')
    end
    edge(id, index - 1, edge_state(producer.s), input)  -- at once: else the job would be granted again
  end
end
j = load(id)
unfinished(id, j, nil, 'result of an input removed', 'a', j.a - 1)
return fetch(j.s)
