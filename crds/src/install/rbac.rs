//! Namespaces, service accounts, roles and bindings, from one table: every right KubeChat itself holds stands here, with
//! the reason. The chart is rendered from the same table.

use serde_json::{Value, json};

use super::Options;

/// One right: verbs on resources of a group, optionally of named objects only.
#[derive(Clone, Debug)]
pub struct Right {
    /// API group; empty for core.
    pub group: &'static str,
    /// Resources, with subresource.
    pub resources: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Names, where the right is for these only.
    pub names: Vec<String>,
    /// Why it is needed.
    pub why: &'static str,
}

fn right(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
) -> Right {
    Right {
        group,
        resources,
        verbs,
        names: vec![],
        why,
    }
}

const WORK: &[&str] = &["chatsessions", "chatrequests", "commandplans", "approvals"];
const POLICY: &[&str] = &["aiproviders", "riskpolicies", "approverkeys", "auditpolicies"];
const READ: &[&str] = &["get", "list", "watch"];
/// Account of an interpreter of its own.
const INTERPRETER: &str = "kubechat-interpreter";

/// What the operator may do cluster-wide. It holds no right to change any workload: changes run as the requester.
#[must_use]
pub fn operator_cluster(options: &Options) -> Vec<Right> {
    let mut groups = right(
        "",
        &["groups"],
        &["impersonate"],
        "act as the requester: only groups named at installation",
    );
    groups.names.clone_from(&options.groups);
    let mut webhooks = right(
        "admissionregistration.k8s.io",
        &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        &["get", "patch"],
        "keep the CA bundle of its own webhooks",
    );
    webhooks.names = vec!["kubechat".to_owned()];
    let mut all = vec![
        right("kubechat.io", WORK, READ, "reconcile"),
        right("kubechat.io", POLICY, READ, "honour policies"),
        right("kubechat.io", &["commandplans"], &["create"], "make plans"),
        right(
            "kubechat.io",
            &["chatrequests", "approvals"],
            &["delete"],
            "remove finished work after its TTL",
        ),
        right(
            "kubechat.io",
            &[
                "chatsessions/status",
                "chatrequests/status",
                "commandplans/status",
                "approvals/status",
                "aiproviders/status",
                "riskpolicies/status",
                "approverkeys/status",
                "auditpolicies/status",
            ],
            &["patch"],
            "report",
        ),
        right(
            "",
            &["users", "serviceaccounts"],
            &["impersonate"],
            "act as the requester",
        ),
        groups,
        right(
            "authentication.k8s.io",
            &["uids", "userextras/kubechat.io/plan"],
            &["impersonate"],
            "act as the requester, naming the plan in the API server's audit log",
        ),
        right(
            "authorization.k8s.io",
            &["subjectaccessreviews"],
            &["create"],
            "ask whether requester and approvers hold their rights",
        ),
        right(
            "rbac.authorization.k8s.io",
            &["clusterroles", "roles", "clusterrolebindings", "rolebindings"],
            READ,
            "name who may still approve a waiting plan; it reads who holds the approve verbs and changes nobody's rights",
        ),
        right(
            "",
            &["namespaces"],
            &["get"],
            "labels that policies select by; the cluster's identity (UID of kube-system)",
        ),
        right(
            "",
            &["pods"],
            &["list"],
            "count them, where a requester may not: which share of the cluster a plan hits. None is looked at",
        ),
        right(
            "events.k8s.io",
            &["events"],
            &["create", "patch"],
            "tell what happens",
        ),
        webhooks,
    ];
    if !options.separate_interpreter {
        all.extend(destinations());
    }
    all
}

/// What whoever asks models must see of where they are.
fn destinations() -> Vec<Right> {
    vec![
        right(
            "",
            &["services"],
            &["get"],
            "see that a ClusterLocal AIProvider's Service picks Pods by a selector, and its ClusterIP",
        ),
        right(
            "discovery.k8s.io",
            &["endpointslices"],
            &["list"],
            "see that the endpoints of that Service are Pods",
        ),
    ]
}

/// What an interpreter of its own may do cluster-wide: it acts as nobody, and changes nothing but what it reports.
#[must_use]
pub fn interpreter_cluster() -> Vec<Right> {
    let mut all = vec![
        right(
            "kubechat.io",
            &["chatrequests", "aiproviders", "riskpolicies"],
            READ,
            "see which turns it is to read, whom to ask, and which hosts policies name",
        ),
        right(
            "kubechat.io",
            &["chatrequests/status", "aiproviders/status"],
            &["patch"],
            "say what it intends to send, and what it understood (admission: nothing else)",
        ),
        right(
            "events.k8s.io",
            &["events"],
            &["create", "patch"],
            "tell what happens",
        ),
    ];
    all.extend(destinations());
    all
}

/// What an interpreter of its own may do in KubeChat's namespace: it holds neither the seal key nor the log's.
#[must_use]
pub fn interpreter_namespaced() -> Vec<Right> {
    let mut lease = right(
        "coordination.k8s.io",
        &["leases"],
        &["get", "update"],
        "leader election",
    );
    lease.names = vec!["kubechat-interpreter".to_owned()];
    vec![
        lease,
        right("coordination.k8s.io", &["leases"], &["create"], "leader election"),
    ]
}

/// What whoever asks models may do in the credentials namespace.
#[must_use]
pub fn credentials() -> Vec<Right> {
    vec![right(
        "",
        &["secrets"],
        &["get"],
        "keys and CAs that AIProviders name; none of another namespace",
    )]
}

/// What the operator may do in its own namespace.
#[must_use]
pub fn operator_namespaced() -> Vec<Right> {
    let mut secrets = right(
        "",
        &["secrets"],
        &["get", "list", "watch", "update"],
        "seal key and webhook certificate",
    );
    secrets.names = vec!["kubechat-seal".to_owned(), "kubechat-webhook-tls".to_owned()];
    let mut lease = right(
        "coordination.k8s.io",
        &["leases"],
        &["get", "update"],
        "leader election",
    );
    lease.names = vec!["kubechat-operator".to_owned()];
    vec![
        secrets,
        right(
            "",
            &["secrets"],
            &["create"],
            "make the seal key and the webhook certificate",
        ),
        lease,
        right("coordination.k8s.io", &["leases"], &["create"], "leader election"),
        right(
            "events.k8s.io",
            &["events"],
            READ,
            "record what the webhook refused",
        ),
        right(
            "kubechat.io",
            &["chatrequests"],
            &["create"],
            "prove by a dry-run that admission stamps",
        ),
    ]
}

/// What the webhook may do cluster-wide: read what it judges by, and ask the authorizer.
#[must_use]
pub fn webhook_cluster() -> Vec<Right> {
    vec![
        right(
            "kubechat.io",
            &["riskpolicies"],
            &["list", "watch"],
            "judge by the live policies",
        ),
        right(
            "kubechat.io",
            &["approverkeys"],
            &["list"],
            "verify the signature of a person's own approval",
        ),
        right(
            "kubechat.io",
            &["commandplans", "chatsessions", "aiproviders"],
            &["get"],
            "judge references",
        ),
        right("", &["namespaces"], &["get"], "labels that policies select by"),
        right(
            "authorization.k8s.io",
            &["subjectaccessreviews"],
            &["create"],
            "ask whether an approver holds the right",
        ),
    ]
}

/// What the webhook may do in KubeChat's namespace.
#[must_use]
pub fn webhook_namespaced() -> Vec<Right> {
    let mut secrets = right("", &["secrets"], READ, "its certificate and the seal key");
    secrets.names = vec!["kubechat-seal".to_owned(), "kubechat-webhook-tls".to_owned()];
    vec![
        secrets,
        right("events.k8s.io", &["events"], &["create"], "tell what was refused"),
    ]
}

/// Roles for people, by name.
#[must_use]
pub fn people() -> Vec<(&'static str, Vec<Right>)> {
    let read = || right("kubechat.io", WORK, READ, "see turns, plans and decisions");
    let decide = |verbs| {
        vec![
            read(),
            right(
                "kubechat.io",
                &["approvals"],
                &["create", "delete"],
                "decide, and revoke before use",
            ),
            right("kubechat.io", &["chatrequests"], &["patch", "update"], "cancel"),
            right(
                "kubechat.io",
                &["commandplans"],
                verbs,
                "the right to approve or deny (asked by SubjectAccessReview)",
            ),
        ]
    };
    vec![
        ("kubechat-viewer", vec![read()]),
        (
            "kubechat-requester",
            vec![
                read(),
                right(
                    "kubechat.io",
                    &["chatsessions", "chatrequests"],
                    &["create", "patch", "update", "delete"],
                    "ask, follow up, cancel",
                ),
                right(
                    "kubechat.io",
                    &["approvals"],
                    &["create", "delete"],
                    "confirm one's own caution plans where the policy says so, and take that back (admission: one's own only)",
                ),
            ],
        ),
        (
            "kubechat-applier",
            vec![right(
                "kubechat.io",
                &["chatsessions", "chatrequests", "approvals"],
                &["get", "list", "watch", "create", "patch", "update", "delete"],
                "apply turns and signed decisions from Git (for a service account; it decides nothing itself)",
            )],
        ),
        ("kubechat-approver-caution", decide(&["approve-caution"])),
        (
            "kubechat-approver-destructive",
            decide(&["approve-caution", "approve-destructive"]),
        ),
        (
            "kubechat-auditor",
            vec![
                read(),
                right("kubechat.io", POLICY, READ, "see the policies in force"),
                right(
                    "kubechat.io",
                    &["auditentries"],
                    &["list"],
                    "read the audit log (asked by SubjectAccessReview)",
                ),
            ],
        ),
        (
            "kubechat-policy-admin",
            vec![right(
                "kubechat.io",
                POLICY,
                &["get", "list", "watch", "create", "patch", "update", "delete"],
                "write policies",
            )],
        ),
        (
            "kubechat-admin",
            vec![right("kubechat.io", &["*"], &["*"], "everything of KubeChat")],
        ),
    ]
}

fn rules(rights: &[Right]) -> Value {
    rights
        .iter()
        .map(|r| {
            let mut rule = json!({ "apiGroups": [r.group], "resources": r.resources, "verbs": r.verbs });
            if !r.names.is_empty() {
                rule["resourceNames"] = json!(r.names);
            }
            rule
        })
        .collect()
}

/// Namespace, service accounts, roles and bindings, in the order they are applied.
#[must_use]
pub fn objects(options: &Options) -> Vec<Value> {
    let namespace = options.namespace.as_str();
    let mut all = vec![json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } })];
    let mut accounts = vec![
        (
            "kubechat-operator",
            operator_cluster(options),
            operator_namespaced(),
        ),
        ("kubechat-webhook", webhook_cluster(), webhook_namespaced()),
    ];
    if options.separate_interpreter {
        accounts.push((INTERPRETER, interpreter_cluster(), interpreter_namespaced()));
    }
    for (account, ..) in &accounts {
        all.push(json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": account, "namespace": namespace } }));
    }
    for (account, cluster, own) in accounts {
        let subjects = json!([{ "kind": "ServiceAccount", "name": account, "namespace": namespace }]);
        let meta = json!({ "name": account });
        let own_meta = json!({ "name": account, "namespace": namespace });
        let api = "rbac.authorization.k8s.io/v1";
        let group = "rbac.authorization.k8s.io";
        all.push(
            json!({ "apiVersion": api, "kind": "ClusterRole", "metadata": meta, "rules": rules(&cluster) }),
        );
        all.push(
            json!({ "apiVersion": api, "kind": "ClusterRoleBinding", "metadata": meta,
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": account }, "subjects": subjects }),
        );
        all.push(json!({ "apiVersion": api, "kind": "Role", "metadata": own_meta, "rules": rules(&own) }));
        all.push(
            json!({ "apiVersion": api, "kind": "RoleBinding", "metadata": own_meta,
            "roleRef": { "apiGroup": group, "kind": "Role", "name": account }, "subjects": subjects }),
        );
    }
    let (api, group) = ("rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io");
    let asks = if options.separate_interpreter {
        INTERPRETER
    } else {
        "kubechat-operator"
    };
    let meta = json!({ "name": asks, "namespace": options.credentials });
    all.push(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": options.credentials } }));
    all.push(json!({ "apiVersion": api, "kind": "Role", "metadata": meta, "rules": rules(&credentials()) }));
    all.push(
        json!({ "apiVersion": api, "kind": "RoleBinding", "metadata": meta,
        "roleRef": { "apiGroup": group, "kind": "Role", "name": asks },
        "subjects": [{ "kind": "ServiceAccount", "name": asks, "namespace": namespace }] }),
    );
    if options.separate_interpreter {
        // A binding that an installation without one left would go on letting the operator read the keys.
        let none = json!({ "name": "kubechat-operator", "namespace": options.credentials });
        all.push(json!({ "apiVersion": api, "kind": "Role", "metadata": none, "rules": [] }));
    }
    for (name, rights) in people() {
        all.push(json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": name }, "rules": rules(&rights) }));
    }
    all
}

#[cfg(test)]
#[path = "rbac_tests.rs"]
mod tests;
