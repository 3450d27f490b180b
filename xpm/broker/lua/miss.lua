-- miss: an input's record is gone: its producer runs again, and this job waits for it.
-- Use: base dates rq moves graph lease calls fetch
-- ARGV 2 to 5 and the reply: see calls; 6 job, 7 execution, 8 the input. Outcome: the job's new state, or 'fenced'.
local again = replayed()
if again then return again end
local id, input = ARGV[6], ARGV[8]
local j = held(id, ARGV[7], worker)
if not j then return fetch('fenced') end
local producer = load(input)
if producer then
  local bytes = call('GETRANGE', key('in', id), j.n, -1)
  local raw = struct.pack('>I4I4I4I4', tonumber(string.sub(input, 1, 8), 16), tonumber(string.sub(input, 9, 16), 16),
    tonumber(string.sub(input, 17, 24), 16), tonumber(string.sub(input, 25, 32), 16))
  local at_byte, found = 1, false
  repeat
    at_byte = string.find(bytes, raw, at_byte, true)
    if at_byte and at_byte % 16 == 1 then
      if not found and producer.s == 'DONE' then place(input, producer, 'result removed') end
      found = true
      edge(id, (at_byte - 1) / 16, edge_state(producer.s))  -- at once: else the job would be granted again
    end
    at_byte = at_byte and at_byte + 1
  until not at_byte
  j = load(id)
end
unfinished(id, j, nil, 'result of an input removed', 'a', j.a - 1)
return fetch(j.s)
