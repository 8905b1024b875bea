//! The forbidden class: changes nobody gets a plan for. It is no level; no policy and no approval opens it.

use kubechat_crds::command_plan::{DiffLine, Effect, RollbackKind, Target};
use kubechat_crds::install::CREDENTIALS_NAMESPACE;
use kubechat_crds::intent::Action;
use kubechat_crds::{CommandPlanSpec, GROUP, Step};
use serde_json::Value;

use super::admission;
use super::kinds::{self, Class};
use super::{changes, name};

/// Namespaces that nothing is changed in: KubeChat's own, and where the keys are that AIProviders name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guarded<'a> {
    /// Where KubeChat runs.
    pub own: &'a str,
    /// Where the keys are. The one that is used where an installation names no other is guarded too.
    pub credentials: &'a str,
}

/// A change nobody gets a plan for, whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}. No plan was made, and no policy or approval can allow it")]
pub struct Forbidden {
    /// Rule id.
    pub rule: &'static str,
    /// Why.
    pub text: String,
}

/// A rule of the class, as the documentation shows it.
pub(super) const RULES: &[(&str, &str)] = &[
    (
        "own-objects",
        "any change of an object of group kubechat.io: a plan never changes its own judge",
    ),
    (
        "own-guards",
        "any change of KubeChat's webhooks, admission policies, CRDs, roles and bindings, or of its namespace and what is in it; of the namespace of the keys that AIProviders name",
    ),
    (
        "own-admission",
        "admission webhooks and policies (and their bindings) with a rule for kubechat.io, by its name or by * for the group and the resources, or too long to be read; a binding without resourceRules of its own, whose policy may be for anything: whatever else narrows them, they would judge KubeChat's own objects",
    ),
    (
        "system-namespace",
        "deleting kube-system, kube-public or kube-node-lease, or anything in them (an eviction of a pod that its controller replaces is no deletion)",
    ),
    (
        "system-masters",
        "binding anybody to the group system:masters, or to a list of subjects too long to be read",
    ),
    (
        "nodes-proxy",
        "nodes/proxy, and roles that grant it (also by * for all resources) or are too long to be read: it is root on every node, unseen by admission",
    ),
];

/// Whether a step belongs to the forbidden class, where these namespaces are guarded.
///
/// # Errors
/// The rule that forbids it.
pub fn check_forbidden(step: &Step, guarded: Guarded<'_>) -> Result<(), Forbidden> {
    if !changes(step) {
        return Ok(());
    }
    step.targets
        .iter()
        .try_for_each(|target| check(step, target, guarded))
}

/// Whether a plan is for the installation whose namespaces these are, and none of its steps belongs to the forbidden class
/// there.
///
/// # Errors
/// The rule that forbids it.
pub fn check_plan(plan: &CommandPlanSpec, guarded: Guarded<'_>) -> Result<(), Forbidden> {
    let own = guarded.own;
    let made_for = &plan.facts.own_namespace;
    if made_for != own {
        return Err(Forbidden {
            rule: "own-guards",
            text: format!(
                "the plan says that KubeChat runs in namespace {made_for}, but it runs in {own}, so its guards were not kept out of it"
            ),
        });
    }
    plan.steps
        .iter()
        .try_for_each(|step| check_forbidden(step, guarded))
}

/// Why what would undo a step is done for nobody: a plan must not promise it.
#[must_use]
pub fn forbidden_undo(step: &Step, guarded: Guarded<'_>) -> Option<Forbidden> {
    let undo = |action, effect| Step {
        action,
        effect,
        subresource: None,
        patch: None,
        manifest: None,
        manifest_digest: None,
        diff: vec![],
        ..step.clone()
    };
    match step.rollback.kind {
        RollbackKind::Inverse if step.rollback.action == Some(Action::Delete) => {
            check_forbidden(&undo(Action::Delete, Effect::Delete), guarded).err()
        }
        RollbackKind::Recreate => step.targets.iter().enumerate().find_map(|(index, target)| {
            let kept = step.rollback.undo_of(index)?;
            let made = Step {
                manifest: kept.manifest,
                manifest_digest: kept.manifest_digest,
                ..undo(Action::Recreate, Effect::Create)
            };
            check(&made, target, guarded).err()
        }),
        RollbackKind::Inverse | RollbackKind::None => None,
    }
}

fn check(step: &Step, target: &Target, guarded: Guarded<'_>) -> Result<(), Forbidden> {
    let what = name(target);
    let forbid = |rule, text| Err(Forbidden { rule, text });
    if target.group == GROUP {
        return forbid(
            "own-objects",
            format!("{what} is one of KubeChat's own objects: a plan never changes its own judge"),
        );
    }
    if is_own_guard(target, guarded) {
        return forbid("own-guards", format!("{what} guards KubeChat itself"));
    }
    if admission::judges_own(step, target) {
        return forbid(
            "own-admission",
            format!(
                "{what} would judge KubeChat's own objects: a rule of it is for group kubechat.io, by its name or by *, or cannot be read in full, or it binds a policy without saying what for. Name the groups it is for (of a binding in spec.matchResources.resourceRules)"
            ),
        );
    }
    let removes =
        (step.effect == Effect::Delete && !kinds::is_eviction(step)) || step.action == Action::Delete;
    if removes && super::place(target).is_some_and(|place| kinds::is_system(place, guarded.own)) {
        return forbid("system-namespace", format!("{what} belongs to the control plane"));
    }
    if kinds::of(target) == Class::Rbac {
        if binds_masters(step, target) {
            return forbid(
                "system-masters",
                format!(
                    "{what} would bind system:masters, or a list of subjects that cannot be read in full"
                ),
            );
        }
        if grants_proxy(step, target) {
            return forbid(
                "nodes-proxy",
                format!("{what} would grant nodes/proxy, or rules that cannot be read in full"),
            );
        }
    }
    if is_node(target) && step.subresource.as_deref() == Some("proxy") {
        return forbid(
            "nodes-proxy",
            format!("{what} would be reached through nodes/proxy"),
        );
    }
    Ok(())
}

fn is_node(target: &Target) -> bool {
    target.group.is_empty() && (target.kind == "Node" || target.resource == "nodes")
}

/// KubeChat's own webhooks, policies, kinds, roles and namespace. Named as `install` names them: admission policies and
/// kinds end in the group, webhooks and roles begin with the product.
fn is_own_guard(target: &Target, guarded: Guarded<'_>) -> bool {
    let group = target.group.as_str();
    let guards = matches!(group, admission::ADMISSION | "rbac.authorization.k8s.io");
    let named = guards && target.name.starts_with("kubechat");
    let of_group = (group == admission::ADMISSION || kinds::of(target) == Class::Definition)
        && target.name.ends_with(".kubechat.io");
    // What stands in the credentials namespace leaves the cluster as somebody's key.
    let kept = [guarded.own, guarded.credentials, CREDENTIALS_NAMESPACE];
    named || of_group || super::place(target).is_some_and(|place| kept.contains(&place))
}

fn binds_masters(step: &Step, target: &Target) -> bool {
    let binding = target.kind.ends_with("Binding");
    binding && (is_unread(step) || texts(step).any(|text| text.contains("system:masters")))
}

/// Longer than a plan holds: it stands elsewhere, where no judge of the plan sees it.
fn is_unread(step: &Step) -> bool {
    step.manifest_digest.is_some() && step.effect != Effect::Delete
}

/// Whether a role would grant nodes/proxy: by its name, by `*`, or nobody can say. Nodes lie in no namespace, so `*` in a
/// Role reaches none.
fn grants_proxy(step: &Step, target: &Target) -> bool {
    let named = |text: &str| {
        let names = ["nodes/proxy", "nodes/*", "*/proxy"];
        names.iter().any(|name| text.contains(name))
    };
    let role = !target.kind.ends_with("Binding");
    let wide = |text: &str| {
        serde_json::from_str(text).map_or(text.contains("\"*\""), |value| has_all_resources(&value))
    };
    let mut bodies = [step.manifest.as_deref(), step.patch.as_deref()]
        .into_iter()
        .flatten();
    // Where the whole manifest is there, the diff says no more, and less exactly.
    let mut changed = step.diff.iter().filter(|_| step.manifest.is_none());
    texts(step).any(named)
        || (role && is_unread(step))
        || (target.kind == "ClusterRole" && (bodies.any(wide) || changed.any(makes_wide)))
}

/// Whether a rule somewhere in it is for all resources of the core group, or says so of a part of a rule alone.
fn has_all_resources(value: &Value) -> bool {
    let all = |list: &Value, what: &[&str]| {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(Value::as_str).any(|item| what.contains(&item))
    };
    match value {
        Value::Array(items) => items.iter().any(has_all_resources),
        Value::Object(fields) => {
            let wide = fields.get("resources").is_some_and(|list| all(list, &["*"]));
            // A merge patch replaces the list, so a rule that leaves its groups out has none.
            let core = fields.get("apiGroups").is_none_or(|list| all(list, &["", "*"]));
            // A JSON patch that reaches into a rule does not show the rest of it.
            let path = fields.get("path").and_then(Value::as_str).unwrap_or_default();
            let into = path.contains("/resources") || path.contains("/apiGroups");
            let star = fields.get("value").is_some_and(|v| v == "*" || all(v, &["*"]));
            (wide && core) || (into && star) || fields.values().any(has_all_resources)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A changed field of a rule that says `*`.
fn makes_wide(line: &DiffLine) -> bool {
    let star = line.after.as_deref().is_some_and(|after| after.contains('*'));
    star && line.path.starts_with("/rules") && !line.path.contains("/verbs")
}

/// Everything a step writes, as text.
fn texts(step: &Step) -> impl Iterator<Item = &str> {
    let after = step.diff.iter().filter_map(|line| line.after.as_deref());
    [step.manifest.as_deref(), step.patch.as_deref()]
        .into_iter()
        .flatten()
        .chain(after)
}
