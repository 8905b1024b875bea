//! Admission: which writes reach KubeChat's webhook, and the rules that the API server itself enforces
//! (ValidatingAdmissionPolicies), also while the webhook is away.
//!
//! **Invariants:** only group `kubechat.io` is matched (and Events of KubeChat's own namespace); everything fails closed,
//! except the record of a deletion; writes that leave `spec` alone stay free and never wait for the webhook, so that the
//! garbage collector, the namespace controller and finalizers work, whoever they run as.
//!
//! Called by `crdgen`, the cluster harness and (later) the chart. The operator fills `caBundle`.

use serde_json::{Value, json};

use super::interpreter;
use crate::{GROUP, PLAN_EXTRA, VERB_APPROVE_CAUTION, VERB_APPROVE_DESTRUCTIVE, VERSION};

/// Name of the Mutating- and of the ValidatingWebhookConfiguration.
pub const CONFIGURATION: &str = "kubechat";
/// Name of the webhook's Service.
pub const WEBHOOK_SERVICE: &str = "kubechat-webhook";
/// Path that stamps.
pub const MUTATE_PATH: &str = "/mutate";
/// Path that judges.
pub const VALIDATE_PATH: &str = "/validate";
/// How long the API server waits for the webhook.
pub const TIMEOUT_SECONDS: i32 = 5;
/// Reason of the Event that records a refusal.
pub const REASON_ADMISSION_REFUSED: &str = "AdmissionRefused";
/// Reason of the Event that records the deletion of a policy object.
pub const REASON_POLICY_DELETED: &str = "PolicyDeleted";
/// Who reports those Events.
pub const EVENT_REPORTER: &str = "kubechat.io/webhook";
/// Annotation of those Events: who tried.
pub const EVENT_USER: &str = "kubechat.io/user";
/// Annotation of those Events: the fixed reason of a refusal.
pub const EVENT_REFUSAL: &str = "kubechat.io/refusal-reason";
/// Annotation of those Events: CREATE, UPDATE or DELETE.
pub const EVENT_OPERATION: &str = "kubechat.io/operation";
/// Annotation of those Events, set by the operator: number of the audit entry.
pub const EVENT_ENTRY: &str = "kubechat.io/audit-seq";

/// Kinds (plural) whose author is stamped and sealed.
const SEALED: &[&str] = &["approvals", "chatrequests", "chatsessions"];
/// Cluster-wide configuration kinds (plural), whose last changer is stamped.
const POLICIES: &[&str] = &["aiproviders", "approverkeys", "auditpolicies", "riskpolicies"];

/// True for writes that the webhook must see: metadata-only updates (finalizers, labels) are not its business.
const SPEC_CHANGES: &str = "request.operation != 'UPDATE' || object.spec != oldObject.spec";

/// Where KubeChat runs and as whom.
#[derive(Clone, Copy, Debug)]
pub struct Installation<'a> {
    /// KubeChat's own namespace.
    pub namespace: &'a str,
    /// Service account of the operator, in that namespace.
    pub operator: &'a str,
    /// Service account of the interpreter, where it is a process of its own.
    pub interpreter: Option<&'a str>,
    /// Service account of the webhook, in that namespace.
    pub webhook: &'a str,
}

impl Default for Installation<'_> {
    fn default() -> Self {
        Self {
            namespace: super::OWN_NAMESPACE,
            operator: "kubechat-operator",
            interpreter: None,
            webhook: "kubechat-webhook",
        }
    }
}

impl Installation<'_> {
    fn username(&self, service_account: &str) -> String {
        format!("system:serviceaccount:{}:{service_account}", self.namespace)
    }
}

/// Every admission object, in the order they are applied: the policies of the API server first, then the webhooks.
#[must_use]
pub fn admission(installation: &Installation<'_>) -> Vec<Value> {
    let mut objects: Vec<Value> = policies(installation).iter().flat_map(Policy::objects).collect();
    objects.push(mutating(installation));
    objects.push(validating(installation));
    objects
}

fn rule(operations: &[&str], resources: &[&str], scope: &str) -> Value {
    json!({
        "apiGroups": [GROUP],
        "apiVersions": [VERSION],
        "operations": operations,
        "resources": resources,
        "scope": scope,
    })
}

fn webhook(installation: &Installation<'_>, name: &str, path: &str, fails: &str, rules: &[Value]) -> Value {
    json!({
        "name": format!("{name}.{GROUP}"),
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "service": {
                "namespace": installation.namespace, "name": WEBHOOK_SERVICE, "path": path, "port": 443
            }
        },
        "failurePolicy": fails,
        "matchPolicy": "Equivalent",
        "rules": rules,
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": TIMEOUT_SECONDS,
    })
}

fn only_spec_changes(mut webhook: Value) -> Value {
    webhook["matchConditions"] = json!([{ "name": "spec-changes", "expression": SPEC_CHANGES }]);
    webhook
}

fn mutating(installation: &Installation<'_>) -> Value {
    let rules = [
        rule(&["CREATE", "UPDATE"], SEALED, "Namespaced"),
        rule(&["CREATE", "UPDATE"], POLICIES, "Cluster"),
    ];
    let mut stamp = only_spec_changes(webhook(installation, "stamp", MUTATE_PATH, "Fail", &rules));
    // Another webhook may change the spec after ours: then it is sealed again.
    stamp["reinvocationPolicy"] = json!("IfNeeded");
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": CONFIGURATION },
        "webhooks": [stamp],
    })
}

fn validating(installation: &Installation<'_>) -> Value {
    let judged = [
        rule(
            &["CREATE"],
            &["approvals", "chatrequests", "commandplans"],
            "Namespaced",
        ),
        rule(&["CREATE", "UPDATE"], POLICIES, "Cluster"),
    ];
    let deleted = [rule(&["DELETE"], POLICIES, "Cluster")];
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": CONFIGURATION },
        "webhooks": [
            only_spec_changes(webhook(installation, "judge", VALIDATE_PATH, "Fail", &judged)),
            webhook(installation, "deletions", VALIDATE_PATH, "Ignore", &deleted),
        ],
    })
}

/// One ValidatingAdmissionPolicy; its binding follows from its name.
struct Policy {
    name: &'static str,
    /// `matchConstraints`.
    matches: Value,
    /// CEL and what is said when it is false.
    validations: Vec<(String, String)>,
    /// Kind whose every object is asked as `params`.
    params: Option<&'static str>,
}

impl Policy {
    fn objects(&self) -> [Value; 2] {
        let name = format!("{}.{GROUP}", self.name);
        let validations: Vec<Value> = self
            .validations
            .iter()
            .map(|(expression, message)| json!({ "expression": expression, "message": message, "reason": "Forbidden" }))
            .collect();
        let mut policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": { "failurePolicy": "Fail", "matchConstraints": self.matches, "validations": validations },
        });
        let mut binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        });
        if let Some(kind) = self.params {
            policy["spec"]["paramKind"] = json!({ "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind });
            // No such object, nothing to ask: the first one must get in.
            binding["spec"]["paramRef"] = json!({ "selector": {}, "parameterNotFoundAction": "Allow" });
        }
        [policy, binding]
    }
}

fn policies(installation: &Installation<'_>) -> Vec<Policy> {
    vec![
        stamp_policy("requester-stamp", &["chatrequests", "chatsessions"], "requester"),
        stamp_policy("submitter-stamp", &["approvals"], "submittedBy"),
        session_owner(),
        request_owner(),
        removal(
            installation,
            "request-removal",
            &["chatrequests", "chatsessions"],
            "requester",
        ),
        removal(installation, "approval-removal", &["approvals"], "submittedBy"),
        own_writes(installation),
        no_writes_by_plans(),
        no_policies_by_appliers(),
        reserved_events(installation),
    ]
}

fn matching(rules: &[Value]) -> Value {
    json!({ "matchPolicy": "Equivalent", "resourceRules": rules })
}

/// The stamp is the caller, whether or not the webhook wrote it. Absent and empty are the same.
fn stamp_policy(name: &'static str, resources: &[&str], field: &str) -> Policy {
    let stamp = format!("object.spec.{field}");
    let same = |key: &str, empty: &str| {
        format!(
            "(has({stamp}.{key}) ? {stamp}.{key} : {empty}) == (has(request.userInfo.{key}) ? request.userInfo.{key} : {empty})"
        )
    };
    let says = format!(
        "spec.{field} is not who created the object. It was not created. Leave the field out: KubeChat's webhook stamps it"
    );
    let expressions = [
        format!("has({stamp}) && {stamp}.username == request.userInfo.username"),
        format!("has({stamp}) && {}", same("uid", "''")),
        format!("has({stamp}) && {}", same("groups", "[]")),
        format!("has({stamp}) && {}", same("extra", "{}")),
    ];
    Policy {
        name,
        matches: matching(&[rule(&["CREATE"], resources, "Namespaced")]),
        validations: expressions.into_iter().map(|e| (e, says.clone())).collect(),
        params: None,
    }
}

/// The object's spec is as it was, or its stamped requester changes it.
const OWNER: &str = "object.spec == oldObject.spec || (has(oldObject.spec.requester) && oldObject.spec.requester.username == request.userInfo.username)";

fn session_owner() -> Policy {
    let says = "only the person who opened a ChatSession may change it. Nothing was changed. Open a session of your own";
    Policy {
        name: "session-owner",
        matches: matching(&[rule(&["UPDATE"], &["chatsessions"], "Namespaced")]),
        validations: vec![(OWNER.to_owned(), says.to_owned())],
        params: None,
    }
}

fn request_owner() -> Policy {
    let approver = |verb: &str| {
        format!(
            "authorizer.group('{GROUP}').resource('commandplans').namespace(request.namespace).check('{verb}').allowed()"
        )
    };
    let expression = format!(
        "{OWNER} || {} || {}",
        approver(VERB_APPROVE_CAUTION),
        approver(VERB_APPROVE_DESTRUCTIVE)
    );
    let says = format!(
        "only the requester, or a person with verb {VERB_APPROVE_CAUTION} or {VERB_APPROVE_DESTRUCTIVE} on commandplans.{GROUP} in this namespace, may cancel a ChatRequest. Nothing was cancelled. Ask one of them"
    );
    Policy {
        name: "request-owner",
        matches: matching(&[rule(&["UPDATE"], &["chatrequests"], "Namespaced")]),
        validations: vec![(expression, says)],
        params: None,
    }
}

/// Deleting somebody else's turn cancels it, and deleting somebody else's decision removes evidence: only its author does,
/// KubeChat after its TTL, the control plane (garbage collection, namespace deletion), and whoever may delete plans.
fn removal(installation: &Installation<'_>, name: &'static str, resources: &[&str], field: &str) -> Policy {
    let operator = installation.username(installation.operator);
    let user = "request.userInfo.username";
    let expression = format!(
        "(has(oldObject.spec.{field}) && oldObject.spec.{field}.username == {user}) || {user} == '{operator}' || {user}.startsWith('system:serviceaccount:kube-system:') || ({user}.startsWith('system:') && !{user}.startsWith('system:serviceaccount:')) || authorizer.group('{GROUP}').resource('commandplans').namespace(request.namespace).check('delete').allowed()"
    );
    let says = format!(
        "only the person who created it, or somebody who may delete commandplans.{GROUP} in this namespace, may delete it. Nothing was deleted. Ask one of them (a turn is stopped by spec.cancel)"
    );
    Policy {
        name,
        matches: matching(&[rule(&["DELETE"], resources, "Namespaced")]),
        validations: vec![(expression, says)],
        params: None,
    }
}

fn own_writes(installation: &Installation<'_>) -> Policy {
    let operator = installation.username(installation.operator);
    let mut whose = format!("request.userInfo.username == '{operator}'");
    if let Some(interpreter) = installation.interpreter {
        whose.push_str(&format!(
            " || {}",
            interpreter::writes(&installation.username(interpreter))
        ));
    }
    Policy {
        name: "own-writes",
        matches: matching(&[
            rule(&["CREATE"], &["commandplans"], "Namespaced"),
            rule(&["UPDATE"], &["*/status"], "*"),
        ]),
        validations: vec![(
            whose,
            "only KubeChat's operator creates CommandPlans and writes status. Nothing was written. Create a ChatRequest to get a plan, an Approval to decide on one".to_owned(),
        )],
        params: None,
    }
}

fn no_writes_by_plans() -> Policy {
    Policy {
        name: "no-writes-by-plans",
        matches: matching(&[json!({
            "apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"],
            "resources": ["*/*"], "scope": "*",
        })]),
        validations: vec![(
            format!("!(has(request.userInfo.extra) && '{PLAN_EXTRA}' in request.userInfo.extra)"),
            format!(
                "a plan never changes objects of {GROUP}: those are its own judge. Nothing was written. A person does this directly, without KubeChat"
            ),
        )],
        params: None,
    }
}

/// A Git pipeline that carries decisions never changes what judges them: no RiskPolicy may name the caller as trusted.
/// The stored policies are asked, so a pipeline cannot first take itself off the list.
fn no_policies_by_appliers() -> Policy {
    let appliers = "params.spec.gitops.trustedAppliers";
    let caller = "request.userInfo.username == 'system:serviceaccount:' + a.serviceAccount.replace('/', ':')";
    Policy {
        name: "no-policies-by-appliers",
        matches: matching(&[json!({
            "apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"],
            "resources": POLICIES, "scope": "Cluster",
        })]),
        validations: vec![(
            format!("!(has(params.spec.gitops) && has({appliers}) && {appliers}.exists(a, {caller}))"),
            format!(
                "a trusted applier (RiskPolicy gitops.trustedAppliers) never changes policies, keys or providers of {GROUP}: those judge what it applies. Nothing was written. A person with the right does this directly, or a pipeline that no RiskPolicy trusts with decisions"
            ),
        )],
        params: Some("RiskPolicy"),
    }
}

/// The operator turns these Events into audit entries, so nobody else may write them.
fn reserved_events(installation: &Installation<'_>) -> Policy {
    let (webhook, operator) = (
        installation.username(installation.webhook),
        installation.username(installation.operator),
    );
    let reserved = |object: &str| {
        format!(
            "has({object}.reason) && {object}.reason in ['{REASON_ADMISSION_REFUSED}', '{REASON_POLICY_DELETED}']"
        )
    };
    let events = |group: &str| {
        json!({
            "apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["events"], "scope": "Namespaced",
        })
    };
    let mut matches = matching(&[events(""), events("events.k8s.io")]);
    matches["namespaceSelector"] =
        json!({ "matchLabels": { "kubernetes.io/metadata.name": installation.namespace } });
    Policy {
        name: "reserved-events",
        matches,
        validations: vec![(
            format!(
                "request.userInfo.username == '{webhook}' || (request.operation == 'UPDATE' && request.userInfo.username == '{operator}') || !(({}) || (oldObject != null && {}))",
                reserved("object"),
                reserved("oldObject")
            ),
            format!(
                "Events with reason {REASON_ADMISSION_REFUSED} or {REASON_POLICY_DELETED} in this namespace are written by KubeChat's webhook only. Nothing was written. Use another reason"
            ),
        )],
        params: None,
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
