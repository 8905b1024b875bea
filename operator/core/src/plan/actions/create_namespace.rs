//! create-namespace: make one or several namespaces.

use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::{Action, IntentParams};
use serde_json::json;

use super::super::{Draft, blank, finish};
use super::change::{Change, Make, Pods};
use super::inverse;
use super::make::CREATES;
use crate::risk::floors;

pub(super) const CHANGE: Change = Change {
    kinds: &[("", "Namespace")],
    params: &[],
    says: &["create namespace staging", "kubectl create namespace staging"],
    make: Make::New,
    floor: |_| floors::CREATE_NAMESPACE,
    floors: &[floors::CREATE_NAMESPACE],
    instead: Some(("", "Namespace")),
    pods: |_| Pods::Kept,
    ..CREATES
};

/// The step that makes namespace number `index` of the plan.
#[must_use]
pub fn draft(name: &str, index: usize) -> Draft {
    let target = Target {
        version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        resource: "namespaces".to_owned(),
        name: name.to_owned(),
        ..Target::default()
    };
    let mut step = blank(
        Action::CreateNamespace,
        Effect::Create,
        vec![target],
        IntentParams::default(),
    );
    let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    step.manifest = Some(manifest.to_string());
    step.rollback = inverse(
        Action::Delete,
        IntentParams::default(),
        "delete the namespace (a destructive plan)".to_owned(),
    );
    finish(&mut step, index);
    Draft {
        step,
        sidecars: vec![],
        before: vec![],
    }
}
