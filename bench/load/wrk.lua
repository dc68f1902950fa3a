-- Load for wrk: prints what it measured as one line of JSON, in microseconds. With FAIRLEAD_BENCH_HELLO naming a file, each
-- "request" is that file's bytes (a TLS ClientHello), so that a relay sees the start of a TLS connection.
local path = os.getenv("FAIRLEAD_BENCH_HELLO")
if path then
  local file = assert(io.open(path, "rb"))
  local hello = file:read("*a")
  file:close()
  -- wrk parses the first request as HTTP before it starts, to see whether requests are pipelined.
  local isChecked = false
  request = function()
    if isChecked then return hello end
    isChecked = true
    return wrk.format()
  end
end

-- With FAIRLEAD_BENCH_UPLOAD_MIB each request uploads that much.
local uploadMiB = os.getenv("FAIRLEAD_BENCH_UPLOAD_MIB")
if uploadMiB then
  wrk.method = "PUT"
  wrk.body = string.rep("fairlead", uploadMiB * 131072)
end

done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"bytes":%.0f,"durationUs":%d,"p50Us":%d,"p90Us":%d,"p99Us":%d,"maxUs":%d,"socketErrors":%d,"badStatus":%d}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
