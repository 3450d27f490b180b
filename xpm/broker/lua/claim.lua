-- claim: a worker asks for its next job. Use: fetch
-- ARGV 2 to 5: see slots; reply: see calls.
return replayed() or fetch('ok')
