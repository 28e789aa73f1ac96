-- Capture: the first MAX bytes of each body, and the features a model says it used, become dynamic metadata
-- "seatrial", which the access log prints. Bodies are copied chunk by chunk while they pass; nothing is buffered,
-- so streams keep flowing and no limit comes from here.
--
-- The protobuf strings behind metadata end at a NUL and hold text only. A body goes in as it is when it calls itself
-- text, is complete, is not compressed and has no NUL; anything else goes in as base64.
--
-- Every call from here into Envoy costs about a microsecond, so there are as few as can be.
local MAX = __MAX__ -- baked in: reading a filter context costs more than copying
local FEATURES = "x-seatrial-features"

local find, lower, concat = string.find, string.lower, table.concat

-- Content types repeat, so the answer is remembered; clients choose them, so the memory is bounded.
local is_text, remembered = {}, 0

local function textual(content_type)
  if content_type == nil then return false end
  local known = is_text[content_type]
  if known == nil then
    local name = lower(content_type)
    known = find(name, "json", 1, true) ~= nil or find(name, "text/", 1, true) ~= nil
    if remembered == 256 then is_text, remembered = {}, 0 end
    is_text[content_type], remembered = known, remembered + 1
  end
  return known
end

-- Reads all chunks; returns what is kept of them and how long the body was.
local function read(handle)
  local pieces, count, kept, total = {}, 0, 0, 0
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if length > 0 and kept < MAX then
      local take = math.min(length, MAX - kept)
      count = count + 1
      pieces[count] = chunk:getBytes(0, take)
      kept = kept + take
    end
    total = total + length
  end
  return count == 1 and pieces[1] or concat(pieces), total
end

local function capture(handle, key)
  local headers = handle:headers()
  local text = textual(headers:get("content-type")) and headers:get("content-encoding") == nil
  local body, total = read(handle)
  if total == 0 then return end
  local metadata = handle:streamInfo():dynamicMetadata()
  local cut = total > #body
  if text and not cut and not find(body, "\0", 1, true) then
    metadata:set("seatrial", key, body)
  else
    metadata:set("seatrial", key .. "_b64", handle:base64Escape(body))
  end
  if cut then metadata:set("seatrial", key .. "_cut", total) end
end

-- Must run before the body is read: after that the headers are on their way to the client.
local function take_features(handle)
  local headers = handle:headers()
  local features = headers:get(FEATURES)
  if features ~= nil then
    headers:remove(FEATURES)
    handle:streamInfo():dynamicMetadata():set("seatrial", "feat", features)
  end
end

function envoy_on_response(handle)
  take_features(handle)
  capture(handle, "resp")
end
