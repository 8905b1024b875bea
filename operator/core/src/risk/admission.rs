//! Whether a step makes an admission webhook or policy judge KubeChat's own objects: what judges them decides what is approved.

use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::{GROUP, Step};
use serde_json::Value;

use super::security::nested;

/// The group of all admission objects.
pub(super) const ADMISSION: &str = "admissionregistration.k8s.io";
/// KubeChat's kinds (plural): a rule for all groups that names one of them is for it.
pub(super) const OWN: &[&str] = &[
    "aiproviders",
    "approvals",
    "approverkeys",
    "auditpolicies",
    "chatrequests",
    "chatsessions",
    "commandplans",
    "riskpolicies",
];
/// What a policy leaves out. It is not counted on, for a later change may take it away.
const LEFT_OUT: &str = "excludeResourceRules";

/// Whether what a step writes into an admission object reaches group kubechat.io: by its name or by `*`, or nobody can say.
/// What narrows a rule again (selectors, conditions, what it leaves out) is not counted on.
pub(super) fn judges_own(step: &Step, target: &Target) -> bool {
    if target.group != ADMISSION || step.effect == Effect::Delete {
        return false;
    }
    if step.manifest_digest.is_some() {
        return true;
    }
    let sent: Vec<&String> = [&step.manifest, &step.patch].into_iter().flatten().collect();
    let written = |text: &String| match serde_json::from_str(text) {
        Ok(Value::Array(operations)) => operations.iter().any(operation),
        Ok(value) => reaches(&value),
        Err(_) => true,
    };
    // Where what is sent is there, the diff says no more, and less exactly: but for what is left out no longer.
    let spared = step.diff.iter().any(|line| {
        let before = line.before.as_deref().unwrap_or_default();
        line.path.contains(LEFT_OUT) && before.contains(GROUP)
    });
    let shown = || {
        step.diff.iter().any(|line| {
            let text = line.after.as_deref().unwrap_or_default();
            let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
            line.path.starts_with('(') || reaches(&nested(&line.path, value))
        })
    };
    spared
        || sent.iter().any(|text| written(text))
        || (sent.is_empty() && shown())
        || (target.kind.ends_with("PolicyBinding") && binds_all(step, &sent))
}

/// Where a binding says which policy judges, and what narrows it.
const POLICY: &str = "/spec/policyName";
const NARROWED: &str = "/spec/matchResources";
const RULES: &str = "/spec/matchResources/resourceRules";

/// Whether a step lets a policy that nobody looks at here judge all that it is for: it binds it without rules of the binding's
/// own, or takes these away. With such rules it judges no more than they name.
fn binds_all(step: &Step, sent: &[&String]) -> bool {
    let ruled = |rules: &Value| rules.as_array().is_some_and(|rules| !rules.is_empty());
    // A manifest that makes a binding says all of it; other texts say what they change.
    let whole = step.effect == Effect::Create;
    let object = |value: &Value| {
        let widened = ["", "/spec", NARROWED]
            .iter()
            .any(|at| value.pointer(at).is_some_and(Value::is_null));
        match value.pointer(RULES) {
            Some(rules) => !ruled(rules),
            None => whole || widened || value.pointer(POLICY).is_some(),
        }
    };
    let within = |path: &str, of: &str| {
        path.strip_prefix(of)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let operation = |operation: &Value| {
        let text = |key: &str| operation.get(key).and_then(Value::as_str).unwrap_or_default();
        let (op, path) = (text("op"), text("path"));
        let above = within(POLICY, path) || within(RULES, path);
        match op {
            "test" => false,
            "remove" => above || within(path, RULES),
            // What stands there is all there is afterwards.
            _ if above => {
                let value = operation.get("value").cloned().unwrap_or_default();
                !nested(path, value).pointer(RULES).is_some_and(ruled)
            }
            _ => false,
        }
    };
    let written = |text: &&String| match serde_json::from_str(text) {
        Ok(Value::Array(operations)) => operations.iter().any(operation),
        Ok(value) => object(&value),
        Err(_) => true,
    };
    // What an apply leaves out that an earlier one set is taken away: only the diff says so.
    let shown = step.diff.iter().any(|line| {
        let after = line.after.as_deref();
        match line.path.as_str() {
            POLICY => line.before.is_some(),
            "/spec" | NARROWED => line.before.is_some() && after.is_none(),
            RULES => after.is_none_or(|rules| matches!(rules, "[]" | "null")),
            _ => false,
        }
    });
    shown || sent.iter().any(written) || (whole && sent.is_empty())
}

/// One operation of a JSON patch.
fn operation(operation: &Value) -> bool {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let Some(path) = text("path") else {
        return true;
    };
    let left_out = path.contains(LEFT_OUT);
    match text("op") {
        Some("test") => false,
        Some("remove") => left_out,
        Some("add" | "replace") => {
            let value = operation.get("value").cloned().unwrap_or_default();
            left_out || reaches(&nested(path, value))
        }
        Some(_) | None => true,
    }
}

/// Whether a rule somewhere in it is for group kubechat.io, or says so of a part of a rule alone.
fn reaches(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(reaches),
        Value::Object(fields) => {
            let list = |field: &str| {
                let list = fields.get(field).filter(|list| !list.is_null());
                list.map(|list| match list {
                    Value::Array(items) => items.iter().map(named).collect(),
                    other => vec![named(other)],
                })
            };
            let groups = list("apiGroups");
            let any = |groups: &Vec<&str>| groups.contains(&"*");
            let by_name = groups.as_ref().is_some_and(|groups| groups.contains(&GROUP));
            let own = |resource: &&str| {
                let kind = resource.split('/').next().unwrap_or_default();
                kind == "*" || OWN.contains(&kind)
            };
            let resources = list("resources").map(|all| all.iter().any(own));
            // A patch that reaches into a rule does not show the rest of it.
            let by_star = match (groups.as_ref().map(any), resources) {
                (Some(any), own) => any && own != Some(false),
                (None, own) => own == Some(true),
            };
            let inside = fields.iter().filter(|(key, _)| *key != LEFT_OUT);
            by_name || by_star || inside.map(|(_, inner)| inner).any(reaches)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A name in a list; what is none may be any.
fn named(value: &Value) -> &str {
    value.as_str().unwrap_or("*")
}
