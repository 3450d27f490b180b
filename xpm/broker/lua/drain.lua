-- drain: one chunk of the continuation list. Use: graph
-- Returns the number of entries left.
drain()
flush()
return call('LLEN', P .. 'todo')
