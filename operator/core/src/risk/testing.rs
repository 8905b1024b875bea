//! Plans for the tests of this module.

use kubechat_crds::command_plan::{BlastRadius, DiffLine, NamespaceFact, Rollback, RollbackKind};
use kubechat_crds::intent::{Action, IntentParams};

use super::*;

/// The namespaces of an installation that runs in this one.
pub(crate) fn guarded(own: &str) -> Guarded<'_> {
    Guarded {
        own,
        credentials: "kubechat-credentials",
    }
}

/// A step on one object in namespace `demo` that something undoes.
pub(crate) fn step(action: Action, effect: Effect, group: &str, kind: &str, name: &str) -> Step {
    Step {
        id: "s1".into(),
        action,
        effect,
        targets: vec![Target {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            resource: format!("{}s", kind.to_lowercase()),
            namespace: (!matches!(kind, "Node" | "Namespace" | "PersistentVolume")).then(|| "demo".into()),
            name: name.into(),
            ..Target::default()
        }],
        params: IntentParams::default(),
        command: String::new(),
        patch: None,
        subresource: None,
        manifest: None,
        manifest_digest: None,
        diff: vec![],
        access: vec![],
        selected_by: vec![],
        adopts: vec![],
        selector: None,
        owners: vec![],
        level: Level::Safe,
        rollback: Rollback {
            kind: RollbackKind::Inverse,
            ..Rollback::default()
        },
    }
}

/// Deployment web from some replicas to others.
pub(crate) fn scale(from: Option<i32>, to: Option<i32>) -> Step {
    let mut step = step(Action::Scale, Effect::Update, "apps", "Deployment", "web");
    step.params.replicas = to;
    step.subresource = Some("scale".into());
    step.diff = from
        .map(|from| DiffLine {
            target: 0,
            path: "/spec/replicas".into(),
            before: Some(from.to_string()),
            after: to.map(|n| n.to_string()),
        })
        .into_iter()
        .collect();
    step
}

/// An autoscaler with this maximum over so many replicas.
pub(crate) fn autoscale(now: i32, most: i32) -> Step {
    let (group, kind) = ("autoscaling", "HorizontalPodAutoscaler");
    let mut step = step(Action::Autoscale, Effect::Create, group, kind, "web");
    (step.params.current_replicas, step.params.max_replicas) = (Some(now), Some(most));
    step
}

/// A Deployment restarted.
pub(crate) fn restart(name: &str) -> Step {
    step(Action::Restart, Effect::Update, "apps", "Deployment", name)
}

/// An object removed that can be made again.
pub(crate) fn delete(group: &str, kind: &str, name: &str) -> Step {
    let mut step = step(Action::Delete, Effect::Delete, group, kind, name);
    step.rollback.kind = RollbackKind::Recreate;
    step
}

/// A plan of these steps; namespaces `demo` and `other` are ordinary ones.
pub(crate) fn plan(steps: Vec<Step>) -> CommandPlanSpec {
    let mut plan = CommandPlanSpec {
        steps,
        ..CommandPlanSpec::default()
    };
    plan.blast_radius = Some(BlastRadius {
        complete: true,
        ..BlastRadius::default()
    });
    plan.facts.namespaces = ["demo", "other", "kube-system", "a", "prod-eu"]
        .map(|name| NamespaceFact {
            name: name.into(),
            ..NamespaceFact::default()
        })
        .into();
    plan
}

/// The weight of a factor in a judgement; 0 where it does not apply.
pub(crate) fn weight(risk: &Risk, factor: &str) -> i32 {
    risk.factors
        .iter()
        .find(|f| f.id == factor)
        .map_or(0, |f| f.weight)
}

/// A harmless plan with something worse about it.
pub(crate) fn with(change: impl FnOnce(&mut CommandPlanSpec)) -> CommandPlanSpec {
    let mut plan = plan(vec![restart("web")]);
    change(&mut plan);
    plan
}

/// A plan whose only diff is this line.
pub(crate) fn line(path: &str, before: Option<&str>, after: Option<&str>) -> CommandPlanSpec {
    with(|plan| {
        plan.steps[0].diff = vec![DiffLine {
            target: 0,
            path: path.into(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }];
    })
}

/// A plan that creates a Deployment from this manifest.
pub(crate) fn manifest(text: &str) -> CommandPlanSpec {
    let mut made = step(Action::Recreate, Effect::Create, "apps", "Deployment", "web");
    made.manifest = Some(text.into());
    plan(vec![made])
}
