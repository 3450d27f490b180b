-- control: what people do to jobs. Needs graph.
-- ARGV: 2 who asks ('' if nobody in particular), 3 packed list of jobs (at most 100).
local WHO = ARGV[2]

local function signed(what)
  return WHO == '' and what or what .. ' by ' .. WHO
end

-- Who asked, and when, as the field `by` keeps it.
local function signature()
  return now .. ' ' .. WHO
end

-- Do something to each job that there is, and return its word for what became of it.
local function each(act)
  local words = {}
  for i, id in ipairs(cmsgpack.unpack(ARGV[3])) do
    local j = load(id)
    words[i] = j and act(id, j) or 'unknown'
  end
  finish_up()
  return words
end
