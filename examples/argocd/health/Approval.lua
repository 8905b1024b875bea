-- What became of an Approval, for Argo CD. A decision that does not count is no failure of the sync: it stays in Git as
-- evidence, and must not hold up what comes after it. The message says why it does not count.
local status = obj.status or {}
if (status.observedGeneration or -1) ~= (obj.metadata.generation or 0) then
  return { status = "Progressing", message = "KubeChat has not looked at it yet" }
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Accepted" then
    local prefix = "counts"
    if condition.status == "False" then
      prefix = "does not count"
    elseif condition.status ~= "True" then
      prefix = "is not judged yet"
    end
    return {
      status = "Healthy",
      message = prefix .. ", " .. (condition.reason or "") .. ": " .. (condition.message or ""),
    }
  end
end
return { status = "Progressing", message = "KubeChat says nothing of it yet" }
