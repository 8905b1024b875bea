-- How far a CommandPlan is, for Argo CD: Suspended while a person is waited for, Degraded when it ended without what was asked.
local status = obj.status or {}
if (status.observedGeneration or -1) ~= (obj.metadata.generation or 0) then
  return { status = "Progressing", message = "KubeChat has not looked at it yet" }
end
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type or ""] = condition
end
local function says(health, condition)
  return { status = health, message = (condition.reason or "") .. ": " .. (condition.message or "") }
end
if found.Stalled and found.Stalled.status == "True" then
  return says("Degraded", found.Stalled)
end
if found.AwaitingApproval and found.AwaitingApproval.status == "True" then
  return says("Suspended", found.AwaitingApproval)
end
if found.Succeeded and found.Succeeded.status == "True" then
  return says("Healthy", found.Succeeded)
end
if found.Succeeded and found.Succeeded.status == "False" then
  return says("Degraded", found.Succeeded)
end
return says("Progressing", found.Reconciling or found.Succeeded or {})
