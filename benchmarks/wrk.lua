-- Posts the action counter.increment(1), as JSON, to actors in turn; prints one JSON object.
--
--   wrk [options] -s wrk.lua URL -- RUN ACTORS
--
-- RUN makes the actors' keys; ACTORS says how many there are.
local paths = {}
local turn = 0

function init(args)
  local run, actors = args[1], tonumber(args[2])
  for i = 0, actors - 1 do
    paths[i] = "/gateway/counter/action/increment?rvt-namespace=default&rvt-method=getOrCreate"
      .. "&rvt-runner=default&rvt-key=wrk," .. run .. "," .. i .. "&rvt-crash-policy=sleep"
  end
  wrk.method = "POST"
  wrk.body = '{"args":[1]}'
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["x-rivet-encoding"] = "json"
end

function request()
  turn = (turn + 1) % (#paths + 1)
  return wrk.format(nil, paths[turn])
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '{"ops_per_s": %.1f, "n": %d, "errors": %d, "p50_ms": %.3f, "p95_ms": %.3f, "p99_ms": %.3f}\n',
    (summary.requests - errors.status) * 1e6 / summary.duration, summary.requests, failed,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000
  ))
end
