-- 1,000 units in turn, each with the same 300 byte body: what is measured is the gateway, not this script.
local requests, n = {}, 0
local body = '{"dataframe_records": [{' .. string.rep('"amount": 12.5, ', 16) .. '"country": "DE"}]}'

init = function(args)
  for unit = 1, 1000 do
    local headers = { ["x-unit-id"] = "unit-" .. unit, ["content-type"] = "application/json" }
    requests[unit] = wrk.format("POST", "/models/bench/invocations", headers, body)
  end
end

request = function()
  n = n % 1000 + 1
  return requests[n]
end
