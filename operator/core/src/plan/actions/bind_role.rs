//! bind-role: give people or accounts what a role grants, in one namespace. Every change of rights is destructive; how
//! heavy this one is depends on what the role grants, and what cannot be read counts as everything.

use kubechat_crds::Step;
use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make, Pods};
use super::make::{CREATES, Making, NewKind};
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
    floor: |_| floors::RBAC,
    floors: &[floors::RBAC],
    weight: |step| weight(step),
    pods: |_| Pods::Kept,
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
    ..CREATES
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

/// What leads to everything: groups, resources and verbs. A `*` in a rule is each of them.
const MIGHTY: &[(&[&str], &[&str], &[&str])] = &[
    // Somebody else's name, and so all that he may do.
    (
        &["", "authentication.k8s.io"],
        &["users", "groups", "serviceaccounts", "uids", "userextras"],
        &["impersonate"],
    ),
    (&[""], &["serviceaccounts/token"], &["create"]),
    // A pod runs as any account of its namespace, and what runs in a pod has what the pod has.
    (&[""], &["pods"], &["create"]),
    (&[""], &["replicationcontrollers"], &["create", "update", "patch"]),
    (
        &["apps", "extensions"],
        &["deployments", "statefulsets", "daemonsets", "replicasets"],
        &["create", "update", "patch"],
    ),
    (&["batch"], &["jobs", "cronjobs"], &["create", "update", "patch"]),
    (
        &[""],
        &["pods/exec", "pods/attach", "nodes/proxy"],
        &["get", "create"],
    ),
    (&[""], &["pods/ephemeralcontainers"], &["patch", "update"]),
    (
        &["rbac.authorization.k8s.io"],
        &["roles", "clusterroles", "rolebindings", "clusterrolebindings"],
        &[
            "create",
            "update",
            "patch",
            "delete",
            "deletecollection",
            "bind",
            "escalate",
        ],
    ),
    // What judges a plan, or whose word counts.
    (
        &["kubechat.io"],
        &["riskpolicies", "approverkeys", "aiproviders", "auditpolicies"],
        &["create", "update", "patch", "delete", "deletecollection"],
    ),
    // A certificate in anybody's name.
    (
        &["certificates.k8s.io"],
        &[
            "certificatesigningrequests/approval",
            "certificatesigningrequests/status",
            "signers",
        ],
        &["approve", "sign", "update", "patch"],
    ),
    // A volume is any directory of a node; what is admitted and served is any object.
    (&[""], &["persistentvolumes"], &["create", "update", "patch"]),
    (
        &["admissionregistration.k8s.io"],
        &[
            "mutatingwebhookconfigurations",
            "validatingwebhookconfigurations",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
        ],
        &["create", "update", "patch", "delete", "deletecollection"],
    ),
    (
        &["apiregistration.k8s.io"],
        &["apiservices"],
        &["create", "update", "patch"],
    ),
    (
        &["kubechat.io"],
        &["commandplans"],
        &[
            kubechat_crds::VERB_APPROVE_CAUTION,
            kubechat_crds::VERB_APPROVE_DESTRUCTIVE,
        ],
    ),
];

/// Verbs that are nothing but rights over rights, whatever they stand beside.
const OVER_RIGHTS: &[&str] = &["escalate", "bind", "impersonate"];

/// The texts of a list of a rule.
fn texts<'a>(rule: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    let list = rule.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a list of a rule holds one of these: by name, as `*`, or as `*/exec` for every resource that has it.
fn holds(rule: &Value, field: &str, any: &[&str]) -> bool {
    texts(rule, field).any(|item| {
        let below = item.strip_prefix("*/");
        item == "*"
            || any.iter().any(|wanted| {
                *wanted == item || below.is_some_and(|b| wanted.split_once('/').is_some_and(|(_, w)| w == b))
            })
    })
}

/// Whether a rule leads to everything.
fn mighty(rule: &Value) -> bool {
    let all = |field: &str| texts(rule, field).any(|item| item == "*");
    let approves = holds(rule, "apiGroups", &["kubechat.io"])
        && texts(rule, "verbs").any(|verb| verb.starts_with("approve"));
    let extra = holds(rule, "verbs", OVER_RIGHTS)
        && texts(rule, "resources").any(|resource| resource.starts_with("userextras/"));
    (all("verbs") && all("resources"))
        || texts(rule, "verbs").any(|verb| OVER_RIGHTS.contains(&verb))
        || approves
        || extra
        || MIGHTY.iter().any(|(groups, resources, verbs)| {
            holds(rule, "apiGroups", groups)
                && holds(rule, "resources", resources)
                && holds(rule, "verbs", verbs)
        })
}

/// What the rules of a role come to, by the worst of them.
pub(super) fn grants(role: &Value) -> &'static str {
    let Some(rules) = role.get("rules").and_then(Value::as_array) else {
        return "unknown";
    };
    // What others put together is not there yet.
    if rules.is_empty() && role.get("aggregationRule").is_some_and(|rule| !rule.is_null()) {
        return "unknown";
    }
    let secrets = |rule: &Value| holds(rule, "resources", &["secrets"]) && holds(rule, "apiGroups", &[""]);
    // Among all the Secrets of a namespace are those by which one becomes another.
    let any_secret = |rule: &Value| secrets(rule) && texts(rule, "resourceNames").next().is_none();
    if rules.iter().any(mighty) || rules.iter().any(any_secret) {
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

/// Whether nearly everybody is among those of a step, or everybody.
fn to_everybody(step: &Step) -> bool {
    step.params.subjects.iter().any(|subject| is_everybody(subject))
}

fn is_everybody(subject: &str) -> bool {
    let of_group = subject.strip_prefix("group/");
    subject == "user/system:anonymous"
        || of_group.is_some_and(|group| {
            ["system:authenticated", "system:unauthenticated"].contains(&group)
                || group.starts_with("system:serviceaccounts")
        })
}

/// Of the subjects of a binding the first that is nearly everybody, as a plan names it.
pub(super) fn everybody_of(binding: &Value) -> Vec<String> {
    let subjects = binding
        .get("subjects")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut named = subjects.filter_map(|subject| {
        let text = |key: &str| subject.get(key).and_then(Value::as_str);
        Some(format!("{}/{}", text("kind")?.to_lowercase(), text("name")?))
    });
    named.find(|subject| is_everybody(subject)).into_iter().collect()
}

fn weight(step: &Step) -> Weight {
    if to_everybody(step) {
        return weights::BIND_EVERYBODY;
    }
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
        let mut named = rule(&[""], &["secrets"], &["get"]);
        named["resourceNames"] = json!(["tls"]);
        for (rules, expected) in [
            (json!([read]), "reads"),
            (json!([]), "reads"),
            (json!([read, rule(&[""], &["services"], &["patch"])]), "changes"),
            (json!([rule(&[""], &["configmaps"], &["create"])]), "changes"),
            (json!([named]), "secrets"),
            (json!([rule(&["apps"], &["*"], &["*"])]), "everything"),
            (json!([read, rule(&[""], &["secrets"], &["get"])]), "everything"),
            (json!([rule(&["*"], &["*"], &["get"])]), "everything"),
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
        assert_eq!(grants(&json!({"rules": [], "aggregationRule": {}})), "unknown");
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

    #[test]
    fn what_leads_to_everything_counts_as_everything() {
        for (group, resource, verb) in [
            ("", "serviceaccounts", "*"),
            ("authentication.k8s.io", "uids", "*"),
            ("authentication.k8s.io", "userextras/scopes", "*"),
            ("", "serviceaccounts/token", "create"),
            ("", "*/token", "create"),
            ("", "*", "create"),
            ("", "pods", "create"),
            ("", "pods", "*"),
            ("apps", "deployments", "create"),
            ("batch", "jobs", "*"),
            ("", "pods/exec", "create"),
            ("", "pods/exec", "get"),
            ("", "*/exec", "*"),
            ("", "pods/attach", "create"),
            ("", "pods/ephemeralcontainers", "patch"),
            ("apps", "deployments", "patch"),
            ("batch", "cronjobs", "update"),
            ("rbac.authorization.k8s.io", "clusterroles", "escalate"),
            ("rbac.authorization.k8s.io", "clusterroles", "bind"),
            ("rbac.authorization.k8s.io", "roles", "patch"),
            ("example.org", "things", "bind"),
            ("kubechat.io", "riskpolicies", "patch"),
            ("kubechat.io", "approverkeys", "create"),
            ("certificates.k8s.io", "signers", "approve"),
            (
                "certificates.k8s.io",
                "certificatesigningrequests/approval",
                "update",
            ),
            ("", "persistentvolumes", "create"),
            (
                "admissionregistration.k8s.io",
                "mutatingwebhookconfigurations",
                "update",
            ),
            ("apiregistration.k8s.io", "apiservices", "create"),
            ("kubechat.io", "commandplans", "approve-caution"),
            ("kubechat.io", "commandplans", "approve-destructive"),
            ("*", "commandplans", "approve-caution"),
            ("kubechat.io", "commandplans", "*"),
            ("", "secrets", "get"),
            ("", "secrets", "list"),
        ] {
            let role =
                json!({"rules": [{"apiGroups": [group], "resources": [resource], "verbs": ["get", verb]}]});
            assert_eq!(grants(&role), "everything", "{role}");
        }
    }

    #[test]
    fn a_role_for_everybody_weighs_as_much_as_one_that_grants_everything() {
        for (who, everybody) in [
            ("group/system:authenticated", true),
            ("group/system:unauthenticated", true),
            ("group/system:serviceaccounts", true),
            ("group/system:serviceaccounts:demo", true),
            ("user/system:anonymous", true),
            ("group/devs", false),
            ("user/system:authenticated", false),
            ("serviceaccount/demo/ci", false),
        ] {
            let params = IntentParams {
                subjects: vec!["user/alice".to_owned(), who.to_owned()],
                grants: Some("reads".to_owned()),
                ..IntentParams::default()
            };
            let step = crate::plan::blank(
                kubechat_crds::intent::Action::BindRole,
                kubechat_crds::command_plan::Effect::Create,
                vec![],
                params,
            );
            let expected = if everybody {
                weights::BIND_ALL.percent
            } else {
                weights::BIND_READS.percent
            };
            assert_eq!(weight(&step).percent, expected, "{who}");
        }
    }
}
