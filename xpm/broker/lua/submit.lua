-- submit: a batch of jobs joins a run. Use: entries
-- ARGV: 2 run token, 3 its start in ms, 4 code id, 5 packed entries, 6 the running job that submits them ('': none) and
-- 7 its execution.
-- An entry: {id, task, label, payload, packed inputs (16 bytes each), packed tags, queue, class, priority, known, fence,
-- code, wishes}; known: 0 nothing, 1 its result was removed (fence: of that result), 2 its record was found (its fence
-- and code); wishes: pairs of a job's field and its value.
-- Returns one {state, action, code} an entry; action: new, joined, reused, retried, or clash. Nothing at all if this is
-- not the server, or not the memory, in which the run was opened; {'fenced'} if that execution has ended, {'stopping'}
-- if somebody has asked for the job's end; {'off', who} if the experiment was called off and its script submits.
local replies = {}
local known = call('HMGET', key('run', run), 'start', 'off')
if known[1] ~= ARGV[3] then return replies end
if ARGV[6] == '' then
  if known[2] then return { 'off', string.match(known[2], ' (.*)') } end
else
  local v = call('HMGET', key('j', ARGV[6]), 's', 'x', 'st')
  if v[1] ~= 'RUNNING' or v[2] ~= ARGV[7] then return { 'fenced' } end
  if v[3] then return { 'stopping' } end
end
for i, entry in ipairs(cmsgpack.unpack(ARGV[5])) do
  local id = string.sub(entry[1], 1, 32)
  local j = load(id)
  if not j then
    replies[i] = create(id, entry)
  elseif j.d ~= string.sub(entry[1], 33) then
    replies[i] = { '', 'clash', '' }
  else
    replies[i] = join(id, j, entry)
    states[id] = j.s
  end
end
enter_run()
finish_up()
return replies
