-- claim: a worker asks for its next job. Use: base rq graph fetch
-- ARGV 2 to 5: see fetch. Returns {outcome, packed grant or '', entries left to drain}.
return replayed() or fetch('ok')
