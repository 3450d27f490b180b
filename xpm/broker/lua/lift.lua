-- lift: the brake is taken off these tasks. Use: base
-- ARGV: from 2 on the tasks. Returns those whose jobs it held. What it holds already is to be released.
local lifted = {}
for i = 2, #ARGV do
  call('HDEL', P .. 'failing', ARGV[i])
  if call('HDEL', P .. 'brakes', ARGV[i]) == 1 then lifted[#lifted + 1] = ARGV[i] end
end
return lifted
