//! Who manages an object, and what protects it from being deleted.

use kubechat_crds::Step;
use kubechat_crds::command_plan::Effect;
use serde_json::Value;

use super::Question;
use super::graph::{Facts, Graph, Key, Node};
use super::walk::{Touch, Walked};
use crate::plan::object::annotation;

/// OpenKruise reads it as a label; people write it as an annotation too.
const KRUISE: &str = "policy.kruise.io/delete-protection";
const REPLICAS: &str = "/spec/replicas";
const ARGO_OPTIONS: &str = "argocd.argoproj.io/sync-options";
const ARGO_TRACKING: &str = "argocd.argoproj.io/tracking-id";

/// What protects an object from being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// OpenKruise `Always`, or a value that is not known.
    Always,
    /// OpenKruise `Cascading`: while something runs in or under it.
    Cascading,
    /// Argo CD asks a person first (`Prune=confirm`, `Delete=confirm`).
    Confirm,
}

/// What protects an object.
pub(super) fn protection(object: &Value) -> Option<Protection> {
    let label = object
        .get("metadata")
        .and_then(|m| m.get("labels")?.get(KRUISE)?.as_str());
    match label.or_else(|| annotation(object, KRUISE)) {
        Some("Cascading") => return Some(Protection::Cascading),
        // OpenKruise lifts it with an empty value.
        Some("") | None => {}
        Some(_) => return Some(Protection::Always),
    }
    let asks = |option: &str| {
        let option: String = option.chars().filter(|c| !c.is_whitespace()).collect();
        option.eq_ignore_ascii_case("prune=confirm") || option.eq_ignore_ascii_case("delete=confirm")
    };
    annotation(object, ARGO_OPTIONS)
        .is_some_and(|options| options.split(',').any(asks))
        .then_some(Protection::Confirm)
}

/// Who manages an object, in words.
pub(super) fn managers(object: &Value) -> Vec<String> {
    let label = |key: &str| {
        let labels = object.get("metadata")?.get("labels")?;
        labels.get(key)?.as_str().filter(|v| !v.is_empty())
    };
    let mut found = vec![];
    let application = annotation(object, ARGO_TRACKING).and_then(|id| id.split(':').next());
    if let Some(name) = application.or_else(|| label("argocd.argoproj.io/instance")) {
        found.push(format!("Argo CD application {name}"));
    }
    for (kind, prefix) in [
        ("Kustomization", "kustomize.toolkit.fluxcd.io"),
        ("HelmRelease", "helm.toolkit.fluxcd.io"),
    ] {
        if let Some(name) = label(&format!("{prefix}/name")) {
            let namespace = label(&format!("{prefix}/namespace")).unwrap_or_default();
            found.push(format!("Flux {kind} {namespace}/{name}"));
        }
    }
    let release = annotation(object, "meta.helm.sh/release-name");
    if release.is_some() || label("app.kubernetes.io/managed-by") == Some("Helm") {
        let name = release
            .or_else(|| label("app.kubernetes.io/instance"))
            .unwrap_or("?");
        found.push(format!("Helm release {name} (with its next upgrade)"));
    }
    if found.is_empty() {
        found.extend(by_fields(object));
    }
    found
}

/// GitOps appliers that left no mark but their name as field manager.
fn by_fields(object: &Value) -> Option<String> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let names = entries.iter().filter_map(|e| e.get("manager")?.as_str());
    names.into_iter().find_map(|name| match name {
        "kustomize-controller" | "helm-controller" => Some(format!("Flux ({name})")),
        _ if name.starts_with("argocd") => Some(format!("Argo CD ({name})")),
        _ => None,
    })
}

/// Who will undo the change of each target, or manages it.
pub(super) fn undone_by(question: &Question<'_>, graph: &Graph) -> Vec<String> {
    let mut found = vec![];
    for step in question.steps.iter().filter(|s| s.effect != Effect::Create) {
        for (at, target) in step.targets.iter().enumerate() {
            let key = Key::of(target);
            let name = key.label(question.namespace);
            let node = graph.get(&key);
            for manager in node.into_iter().flat_map(|n| &n.managers) {
                found.push(format!("{manager} manages {name}"));
            }
            let controller = node.and_then(|n| n.owners.iter().find(|o| o.controller));
            if let Some(owner) = controller {
                let does = if step.effect == Effect::Delete {
                    "replaces"
                } else {
                    "controls"
                };
                found.push(format!("{} {} {does} {name}", owner.kind, owner.name));
            }
            if sets_replicas(step, at) {
                found.extend(autoscalers(graph, &key, &name));
            }
        }
    }
    found.sort();
    found.dedup();
    super::radius::bounded(found, 20)
}

/// Whether a step writes the number of replicas of a target, by whatever action. Of a diff that was cut it may.
pub(super) fn sets_replicas(step: &Step, target: usize) -> bool {
    step.subresource.as_deref() == Some("scale")
        || step.diff.iter().any(|line| {
            let whose = usize::try_from(line.target).ok();
            (whose == Some(target) && line.path == REPLICAS)
                || !line.path.is_empty() && !line.path.starts_with('/')
        })
}

fn autoscalers(graph: &Graph, scaled: &Key, name: &str) -> Vec<String> {
    let scales = |node: &&Node| {
        matches!(&node.facts, Facts::Autoscaler { kind, name } if *kind == scaled.kind && *name == scaled.name)
            && node.key.namespace == scaled.namespace
    };
    let all = graph.nodes().iter().filter(scales);
    all.map(|n| {
        format!(
            "HorizontalPodAutoscaler {} sets the replicas of {name}",
            n.key.name
        )
    })
    .collect()
}

/// Why the plan deletes nothing: the first protected object it would delete, and what to do.
#[must_use]
pub fn refusal(question: &Question<'_>, graph: &Graph, walked: &Walked) -> Option<String> {
    let mut gone: Vec<(usize, &Node)> = graph
        .nodes()
        .iter()
        .enumerate()
        .filter(|(at, node)| walked.touch(*at) == Some(Touch::Gone) && node.protection.is_some())
        .collect();
    gone.sort_by(|a, b| a.1.key.cmp(&b.1.key));
    gone.into_iter()
        .find_map(|(_, node)| refused(question, node, graph, walked))
}

fn refused(question: &Question<'_>, node: &Node, graph: &Graph, walked: &Walked) -> Option<String> {
    let key = &node.key;
    let name = key.label(question.namespace);
    let through = if question
        .steps
        .iter()
        .any(|s: &Step| s.targets.iter().any(|t| Key::of(t) == *key))
    {
        String::new()
    } else {
        ", which would be deleted too,".to_owned()
    };
    let place = key
        .namespace
        .as_ref()
        .map(|n| format!(" -n {n}"))
        .unwrap_or_default();
    let kind = key.kind.to_lowercase();
    let (why, then) = match node.protection? {
        Protection::Cascading if !runs(node, graph, walked) => return None,
        Protection::Cascading => (
            format!("is protected from deletion while something runs in it ({KRUISE}: Cascading)"),
            "Empty it first (kubectl scale --replicas=0, or delete what it holds)".to_owned(),
        ),
        Protection::Always => (
            format!("is protected from deletion ({KRUISE})"),
            format!(
                "Whoever is responsible for it takes the protection away first: kubectl label {kind} {}{place} {KRUISE}-",
                key.name
            ),
        ),
        Protection::Confirm => (
            format!("is only deleted after a confirmation in Argo CD ({ARGO_OPTIONS}: confirm)"),
            "Delete it in Git and confirm it in Argo CD, or take the option away in Git first".to_owned(),
        ),
    };
    Some(format!("{name}{through} {why}. Nothing was done. {then}"))
}

/// Whether something still runs in or under an object; what is not known runs.
fn runs(node: &Node, graph: &Graph, walked: &Walked) -> bool {
    if !graph.missing.is_empty() || !walked.complete {
        return true;
    }
    let gone = |test: &dyn Fn(&Node) -> bool| {
        let mut all = graph.nodes().iter().enumerate();
        all.any(|(at, n)| walked.touch(at) == Some(Touch::Gone) && test(n))
    };
    match &node.facts {
        Facts::Workload { replicas, .. } => *replicas > 0,
        Facts::Definition { group, kind } => gone(&|n| n.key.is(group, kind)),
        _ if node.key.is("", "Namespace") => {
            gone(&|n| n.is_pod() && n.key.namespace.as_deref() == Some(node.key.name.as_str()))
        }
        _ => gone(&|n| n.owners.iter().any(|o| o.uid == node.uid)),
    }
}

#[cfg(test)]
#[path = "managed_tests.rs"]
mod tests;
