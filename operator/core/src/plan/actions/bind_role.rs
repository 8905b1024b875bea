//! bind-role: give people or accounts what a role grants, in one namespace. Every change of rights is destructive; how
//! heavy this one is depends on what the role grants, and what cannot be read counts as everything.

use kubechat_crds::Step;
use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make, Mark, Pods, Reads};
use super::make::{Making, NewKind};
use crate::plan::object;
use crate::risk::weights::Weight;
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: &[("rbac.authorization.k8s.io", "RoleBinding")],
    params: &["from", "subjects", "grants"],
    says: &[
        "bind role view to user alice",
        "bind clusterrole edit to group devs called devs-edit",
        "bind clusterrole view to service account demo/ci",
        "kubectl create rolebinding ci-view --clusterrole=view --serviceaccount=demo:ci",
    ],
    make: Make::Object(&KIND),
    reads: Reads::Nothing,
    floor: |_| floors::RBAC,
    floors: &[floors::RBAC],
    instead: None,
    weight: |step| weight(step),
    pods: |_| Pods::Kept,
    harmless: false,
    line: |step, line| {
        let p = &step.params;
        let (kind, role) = p
            .from
            .as_deref()
            .unwrap_or_default()
            .split_once('/')
            .unwrap_or_default();
        let subjects: Vec<String> = p
            .subjects
            .iter()
            .filter_map(|s| {
                let (kind, name) = s.split_once('/')?;
                Some(format!(" --{kind}={}", super::quoted(&name.replace('/', ":"))))
            })
            .collect();
        format!(
            "create rolebinding {} --{kind}={role}{}",
            line.names,
            subjects.concat()
        )
    },
    undo: "deleting it (destructive)",
    mark: Mark::StepId,
};

const KIND: NewKind = NewKind {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "RoleBinding",
    resource: "rolebindings",
    from: &[
        ("rbac.authorization.k8s.io", "Role"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
    ],
    blind: true,
    body,
};

fn body(making: &Making<'_>, told: &mut IntentParams) -> Result<Value, Refusal> {
    let Some(role) = making.source else {
        return Making::ask("Which role? Say for example 'bind role view to user alice'".to_owned());
    };
    let subjects = &making.intent.params.subjects;
    if subjects.is_empty() {
        return Making::ask("Who gets the role? Say for example 'to user alice'".to_owned());
    }
    let mut list = vec![];
    for subject in subjects {
        list.push(entry_of(subject).ok_or_else(|| {
            Refusal::Invalid(format!(
                "{subject:?} is nobody a role is bound to; write user/NAME, group/NAME or serviceaccount/NAMESPACE/NAME"
            ))
        })?);
    }
    let name = object::name(&role.object);
    told.from = Some(format!("{}/{name}", role.kind.kind.to_lowercase()));
    told.grants = Some(grants(&role.object).to_owned());
    Ok(json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.kind.kind, "name": name},
        "subjects": list,
    }))
}

fn entry_of(subject: &str) -> Option<Value> {
    let (kind, name) = subject.split_once('/').filter(|(_, name)| !name.is_empty())?;
    let of_group = |kind: &str| json!({"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"});
    match kind {
        "user" => Some(of_group("User")),
        "group" => Some(of_group("Group")),
        "serviceaccount" => {
            let (namespace, name) = name
                .split_once('/')
                .filter(|(a, b)| !a.is_empty() && !b.is_empty())?;
            Some(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}))
        }
        _ => None,
    }
}

/// What the rules of a role come to, by the worst of them.
fn grants(role: &Value) -> &'static str {
    let Some(rules) = role.get("rules").and_then(Value::as_array) else {
        return "unknown";
    };
    let has = |rule: &Value, field: &str, any: &[&str]| {
        let list = rule.get(field).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(|item| any.contains(&item))
    };
    let all = |rule: &Value| has(rule, "verbs", &["*"]) && has(rule, "resources", &["*"]);
    let rights = |rule: &Value| {
        has(rule, "verbs", &["escalate", "bind", "impersonate"])
            || (has(rule, "apiGroups", &["rbac.authorization.k8s.io", "*"])
                && !only_reads(rule)
                && has(rule, "resources", &["*", "roles", "rolebindings"]))
    };
    let secrets =
        |rule: &Value| has(rule, "resources", &["*", "secrets"]) && has(rule, "apiGroups", &["", "*"]);
    if rules.iter().any(|rule| all(rule) || rights(rule)) {
        "everything"
    } else if rules.iter().any(secrets) {
        "secrets"
    } else if rules.iter().all(only_reads) {
        "reads"
    } else {
        "changes"
    }
}

fn only_reads(rule: &Value) -> bool {
    let verbs = rule.get("verbs").and_then(Value::as_array);
    verbs.is_some_and(|verbs| {
        verbs
            .iter()
            .all(|v| matches!(v.as_str(), Some("get" | "list" | "watch")))
    })
}

fn weight(step: &Step) -> Weight {
    match step.params.grants.as_deref() {
        Some("reads") => weights::BIND_READS,
        Some("changes") => weights::BIND_CHANGES,
        Some("secrets") => weights::BIND_SECRETS,
        Some(_) | None => weights::BIND_ALL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_what_its_worst_rule_grants_and_one_that_cannot_be_read_is_everything() {
        let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
        let read = rule(&[""], &["pods"], &["get", "list", "watch"]);
        for (rules, expected) in [
            (json!([read]), "reads"),
            (json!([]), "reads"),
            (
                json!([read, rule(&["apps"], &["deployments"], &["patch"])]),
                "changes",
            ),
            (json!([rule(&[""], &["pods/exec"], &["create"])]), "changes"),
            (json!([rule(&["apps"], &["*"], &["*"])]), "everything"),
            (json!([read, rule(&[""], &["secrets"], &["get"])]), "secrets"),
            (json!([rule(&["*"], &["*"], &["get"])]), "secrets"),
            (json!([rule(&["*"], &["*"], &["*"])]), "everything"),
            (json!([rule(&[""], &["users"], &["impersonate"])]), "everything"),
            (
                json!([rule(
                    &["rbac.authorization.k8s.io"],
                    &["rolebindings"],
                    &["create"]
                )]),
                "everything",
            ),
            (Value::Null, "unknown"),
        ] {
            assert_eq!(grants(&json!({"rules": rules})), expected, "{rules}");
        }
        let mut step = crate::plan::blank(
            kubechat_crds::intent::Action::BindRole,
            kubechat_crds::command_plan::Effect::Create,
            vec![],
            IntentParams::default(),
        );
        let mut weights = vec![];
        for grants in [
            Some("reads"),
            Some("changes"),
            Some("secrets"),
            Some("everything"),
            Some("lies"),
            None,
        ] {
            step.params.grants = grants.map(str::to_owned);
            weights.push(weight(&step).percent);
        }
        assert!(weights.is_sorted(), "{weights:?}");
    }
}
