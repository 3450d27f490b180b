-- claim: a worker asks for its next job. Use: base dates rq rqlive moves graph calls fetch
-- ARGV 2 to 5 and the reply: see calls.
return replayed() or fetch('ok')
