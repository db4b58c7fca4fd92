-- wrk's requests: one a node, in turn, formatted before the clock starts.
-- Arguments: method, content type, path, file with the body, nodes; NODE stands for the node's name in path and body.

local requests = {}
local position = 0

function init(args)
  local file = assert(io.open(args[4]))
  local template = file:read("*a")
  file:close()
  for index = 0, tonumber(args[5]) - 1 do
    local node = string.format("node-%06d", index)
    local path, body = args[3]:gsub("NODE", node), template:gsub("NODE", node)
    requests[index + 1] = wrk.format(args[1], path, {["Content-Type"] = args[2]}, body)
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "failed": %d, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6, failed, latency:percentile(99) / 1000))
end
