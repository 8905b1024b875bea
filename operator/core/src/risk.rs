//! How dangerous a plan is: floor rules over its steps and recorded facts. One function for planner, webhook and
//! executor; deterministic and pure.
//!
//! This release has the floor rules only: the score is the lower bound of the level's band, with one factor a rule. The
//! weighted engine comes with the blast radius.

use std::collections::BTreeMap;

use kubechat_crds::command_plan::{Effect, Risk, RiskFactor};
use kubechat_crds::intent::Action;
use kubechat_crds::{CommandPlanSpec, GROUP, Level, Step};

/// A rule that fired.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Floor {
    level: Level,
    id: &'static str,
    text: &'static str,
    evidence: String,
}

/// Kinds whose every change is destructive.
const DESTRUCTIVE_KINDS: &[(&str, &str)] = &[
    ("", "PersistentVolumeClaim"),
    ("", "PersistentVolume"),
    ("", "Secret"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("storage.k8s.io", "StorageClass"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("apiregistration.k8s.io", "APIService"),
];

/// Kinds whose ordinary changes are understood; of any other kind every change is destructive.
const KNOWN_KINDS: &[(&str, &str)] = &[
    ("", "Pod"),
    ("", "Service"),
    ("", "ConfigMap"),
    ("", "ServiceAccount"),
    ("", "ReplicationController"),
    ("", "ResourceQuota"),
    ("", "LimitRange"),
    ("", "Namespace"),
    ("", "Node"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
];

/// Prefixes of annotations that guard an object against deletion or steer who manages it.
const GUARD_ANNOTATIONS: &[&str] = &[
    "policy.kruise.io/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "fluxcd.io/",
    "meta.helm.sh/",
    "helm.sh/",
];

/// The judgement of a plan: the highest floor of its steps and of the whole.
#[must_use]
pub fn judge(plan: &CommandPlanSpec) -> Risk {
    judge_steps(&plan.steps)
}

/// As [`judge`], over steps that are no plan yet.
#[must_use]
pub fn judge_steps(steps: &[Step]) -> Risk {
    let mut factors: BTreeMap<&'static str, Floor> = BTreeMap::new();
    let mut level = Level::Safe;
    for floor in steps.iter().flat_map(floors) {
        level = level.max(floor.level);
        factors.entry(floor.id).or_insert(floor);
    }
    Risk {
        level,
        score: level.score_floor(),
        factors: factors
            .into_values()
            .map(|f| RiskFactor {
                id: f.id.to_owned(),
                weight: f.level.score_floor(),
                text: f.text.to_owned(),
                evidence: kubechat_crds::condition::clip(f.evidence, 500),
            })
            .collect(),
    }
}

/// The floor level of one step.
#[must_use]
pub fn floor_level(step: &Step) -> Level {
    floors(step)
        .into_iter()
        .map(|f| f.level)
        .max()
        .unwrap_or(Level::Safe)
}

fn floors(step: &Step) -> Vec<Floor> {
    let mut found = vec![action_floor(step)];
    found.extend(kind_floor(step));
    found.extend(label_floor(step));
    if step.effect == Effect::Delete && step.action != Action::Delete {
        found.push(floor(
            Level::Destructive,
            "effect-delete",
            "removes objects",
            names(step),
        ));
    }
    if step.targets.is_empty() {
        found.push(floor(
            Level::Destructive,
            "no-target",
            "names no target, so it could be any",
            String::new(),
        ));
    }
    found
}

fn action_floor(step: &Step) -> Floor {
    let caution = |id, text| floor(Level::Caution, id, text, names(step));
    let destructive = |id, text| floor(Level::Destructive, id, text, names(step));
    match step.action {
        Action::List
        | Action::Get
        | Action::Describe
        | Action::Logs
        | Action::Events
        | Action::Count
        | Action::RolloutStatus => {
            if step.effect == Effect::Read {
                floor(Level::Safe, "read", "only reads", names(step))
            } else {
                destructive("mislabelled", "calls itself a read but changes objects")
            }
        }
        Action::Scale => match step.params.replicas {
            Some(n) if n > 0 => caution("scale", "changes the number of replicas"),
            Some(_) => destructive("scale-to-zero", "leaves no replica running"),
            None => destructive("scale-unknown", "does not say how many replicas are left"),
        },
        Action::Restart => caution("restart", "replaces the running pods one by one"),
        Action::SetImage => caution("set-image", "changes what code runs"),
        Action::SetResources => caution(
            "set-resources",
            "changes requests or limits and replaces the pods",
        ),
        Action::Delete => destructive("delete", "removes objects"),
        Action::Label => caution("label", "changes labels"),
        Action::Annotate => caution("annotate", "changes annotations"),
        Action::Cordon => caution("cordon", "takes a node out of scheduling"),
        Action::Uncordon => caution("uncordon", "puts a node back into scheduling"),
        Action::CreateNamespace => caution("create-namespace", "makes a namespace"),
        Action::RolloutUndo => destructive("rollout-undo", "puts an earlier revision back"),
        Action::Recreate => caution("recreate", "creates an object again from its recorded manifest"),
    }
}

/// Floors by what kind of object is changed.
fn kind_floor(step: &Step) -> Vec<Floor> {
    if step.effect == Effect::Read {
        return vec![];
    }
    let mut found = vec![];
    for target in &step.targets {
        let kind = (target.group.as_str(), target.kind.as_str());
        let evidence = format!("{}/{}", target.kind.to_lowercase(), target.name);
        if DESTRUCTIVE_KINDS.contains(&kind) {
            found.push(floor(
                Level::Destructive,
                "kind-class",
                "changes an object of a kind others depend on",
                evidence,
            ));
        } else if !KNOWN_KINDS.contains(&kind) {
            found.push(floor(
                Level::Destructive,
                "unknown-kind",
                "changes a kind KubeChat does not know, so it is taken as destructive",
                evidence,
            ));
        } else if kind == ("", "Namespace") && step.action != Action::CreateNamespace {
            found.push(floor(
                Level::Destructive,
                "namespace-change",
                "changes a namespace itself",
                evidence,
            ));
        } else if kind == ("", "Node") && !matches!(step.action, Action::Cordon | Action::Uncordon) {
            found.push(floor(
                Level::Destructive,
                "node-change",
                "changes a node itself",
                evidence,
            ));
        }
    }
    found
}

/// Floors of label and annotation changes by what reads them.
fn label_floor(step: &Step) -> Vec<Floor> {
    let mut found = vec![];
    if step.action == Action::Label && !step.selected_by.is_empty() {
        found.push(floor(
            Level::Destructive,
            "selector-label",
            "changes a label that a selector uses",
            step.selected_by.join(", "),
        ));
    }
    if step.action == Action::Annotate {
        let guarded = |key: &&String| GUARD_ANNOTATIONS.iter().any(|p| key.starts_with(p));
        if let Some(key) = step.params.set.keys().chain(&step.params.remove).find(guarded) {
            found.push(floor(
                Level::Destructive,
                "guard-annotation",
                "changes an annotation that guards the object or says who manages it",
                key.clone(),
            ));
        }
    }
    found
}

fn floor(level: Level, id: &'static str, text: &'static str, evidence: String) -> Floor {
    Floor {
        level,
        id,
        text,
        evidence,
    }
}

fn names(step: &Step) -> String {
    let mut text: Vec<_> = step
        .targets
        .iter()
        .take(5)
        .map(|t| format!("{}/{}", t.kind.to_lowercase(), t.name))
        .collect();
    if step.targets.len() > 5 {
        text.push(format!("and {} more", step.targets.len() - 5));
    }
    text.join(", ")
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

/// Whether a step belongs to the forbidden class.
///
/// # Errors
/// The rule that forbids it.
pub fn check_forbidden(step: &Step) -> Result<(), Forbidden> {
    if step.effect == Effect::Read {
        return Ok(());
    }
    for target in &step.targets {
        let name = format!("{}/{}", target.kind.to_lowercase(), target.name);
        let removes = step.effect == Effect::Delete;
        let system = |n: &str| {
            matches!(
                n,
                "kube-system" | "kube-public" | "kube-node-lease" | "kubechat-system"
            )
        };
        let in_system = target.namespace.as_deref().is_some_and(system);
        let is_system = target.kind == "Namespace" && target.group.is_empty() && system(&target.name);
        if target.group == GROUP {
            return Err(Forbidden {
                rule: "own-objects",
                text: format!("{name} is one of KubeChat's own objects: a plan never changes its own judge"),
            });
        }
        if target.group == "admissionregistration.k8s.io" && target.name.starts_with("kubechat")
            || target.group == "apiextensions.k8s.io" && target.name.ends_with(".kubechat.io")
            || target.group == "rbac.authorization.k8s.io" && target.name.starts_with("kubechat")
        {
            return Err(Forbidden {
                rule: "own-guards",
                text: format!("{name} guards KubeChat itself"),
            });
        }
        if removes && (in_system || is_system)
            || in_system && target.namespace.as_deref() == Some("kubechat-system")
        {
            return Err(Forbidden {
                rule: "system-namespace",
                text: format!("{name} belongs to the control plane"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "risk_tests.rs"]
mod tests;
