//! The forbidden class: changes nobody gets a plan for. It is no level; no policy and no approval opens it.

use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::Action;
use kubechat_crds::{CommandPlanSpec, GROUP, Step};

use super::kinds::{self, Class};
use super::{changes, name};

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
        "any change of KubeChat's webhooks, admission policies, CRDs, roles and bindings, or of its namespace and what is in it",
    ),
    (
        "system-namespace",
        "deleting kube-system, kube-public or kube-node-lease, or anything in them",
    ),
    (
        "system-masters",
        "binding anybody to the group system:masters, or to a list of subjects too long to be read",
    ),
    (
        "nodes-proxy",
        "nodes/proxy, and roles that grant it: it is root on every node, unseen by admission",
    ),
];

/// Whether a step belongs to the forbidden class, where KubeChat runs in namespace `own`.
///
/// # Errors
/// The rule that forbids it.
pub fn check_forbidden(step: &Step, own: &str) -> Result<(), Forbidden> {
    if !changes(step) {
        return Ok(());
    }
    step.targets
        .iter()
        .try_for_each(|target| check(step, target, own))
}

/// Whether a plan is for the installation that runs in namespace `own`, and none of its steps belongs to the forbidden
/// class there.
///
/// # Errors
/// The rule that forbids it.
pub fn check_plan(plan: &CommandPlanSpec, own: &str) -> Result<(), Forbidden> {
    let made_for = &plan.facts.own_namespace;
    if made_for != own {
        return Err(Forbidden {
            rule: "own-guards",
            text: format!(
                "the plan says that KubeChat runs in namespace {made_for}, but it runs in {own}, so its guards were not kept out of it"
            ),
        });
    }
    plan.steps.iter().try_for_each(|step| check_forbidden(step, own))
}

fn check(step: &Step, target: &Target, own: &str) -> Result<(), Forbidden> {
    let what = name(target);
    let forbid = |rule, text| Err(Forbidden { rule, text });
    if target.group == GROUP {
        return forbid(
            "own-objects",
            format!("{what} is one of KubeChat's own objects: a plan never changes its own judge"),
        );
    }
    if is_own_guard(target, own) {
        return forbid("own-guards", format!("{what} guards KubeChat itself"));
    }
    let removes = step.effect == Effect::Delete || step.action == Action::Delete;
    if removes && super::place(target).is_some_and(|place| kinds::is_system(place, own)) {
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
        if texts(step).any(grants_proxy) {
            return forbid("nodes-proxy", format!("{what} would grant nodes/proxy"));
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
fn is_own_guard(target: &Target, own: &str) -> bool {
    let group = target.group.as_str();
    let guards = matches!(group, "admissionregistration.k8s.io" | "rbac.authorization.k8s.io");
    let named = guards && target.name.starts_with("kubechat");
    let of_group = (group == "admissionregistration.k8s.io" || kinds::of(target) == Class::Definition)
        && target.name.ends_with(".kubechat.io");
    named || of_group || super::place(target) == Some(own)
}

fn binds_masters(step: &Step, target: &Target) -> bool {
    let binding = target.kind.ends_with("Binding");
    // Longer than a plan holds: the subjects stand elsewhere, where no judge of the plan sees them.
    let unread = step.manifest_digest.is_some() && step.effect != Effect::Delete;
    binding && (unread || texts(step).any(|text| text.contains("system:masters")))
}

fn grants_proxy(text: &str) -> bool {
    ["nodes/proxy", "nodes/*", "*/proxy"]
        .iter()
        .any(|r| text.contains(r))
}

/// Everything a step writes, as text.
fn texts(step: &Step) -> impl Iterator<Item = &str> {
    let after = step.diff.iter().filter_map(|line| line.after.as_deref());
    [step.manifest.as_deref(), step.patch.as_deref()]
        .into_iter()
        .flatten()
        .chain(after)
}
