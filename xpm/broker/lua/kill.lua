-- kill: somebody ends the execution of these jobs: ERROR, and no attempt follows by itself. Use: control rqlive
-- ARGV: see control. Words: stopping; idle, which is left alone.
-- Here it is only asked for. How the execution ends decides: by its result, or else `unfinished` sees the wish.
return each(function(id, j)
  if j.s ~= 'RUNNING' then return 'idle' end
  call('HSET', key('j', id), 'st', 'kill', 'by', signature())
  rq_stop(j, id)
  return 'stopping'
end)
