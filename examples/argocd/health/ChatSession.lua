-- Whether a ChatSession is usable, for Argo CD.
local status = obj.status or {}
if (status.observedGeneration or -1) ~= (obj.metadata.generation or 0) then
  return { status = "Progressing", message = "KubeChat has not looked at it yet" }
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    local message = (condition.reason or "") .. ": " .. (condition.message or "")
    if condition.status == "True" then
      return { status = "Healthy", message = message }
    elseif condition.status == "False" then
      return { status = "Degraded", message = message }
    end
    return { status = "Progressing", message = message }
  end
end
return { status = "Progressing", message = "KubeChat says nothing of it yet" }
