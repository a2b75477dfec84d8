-- Makes wrk send a body of so many bytes with each request.
function init(args)
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(args[1]))
end
