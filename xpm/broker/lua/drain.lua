-- drain: one chunk of the continuation list. Use: base dates rq moves graph
-- Returns the number of entries left.
drain()
flush()
return call('LLEN', P .. 'todo')
