//! evict: ask the API server to end pods as their disruption budgets allow. Each pod is bound to its UID.

use kubechat_crds::Step;
use kubechat_crds::command_plan::Effect;
use kubechat_crds::intent::{Action, IntentParams};
use serde_json::Value;

use super::super::{blank, target};
use super::change::{Change, Line, Make, Mark, Pods, Reads};
use super::{Draft, Found, Refusal, irreversible, label_of, object};
use crate::risk::{floors, weights};

/// The subresource that an eviction is posted to.
pub const SUBRESOURCE: &str = "eviction";
/// How long an eviction that a disruption budget forbids is asked for again, in seconds, where nobody says so.
pub const PATIENCE: i64 = 60;

pub(super) const CHANGE: Change = Change {
    kinds: &[("", "Pod")],
    params: &["timeoutSeconds", "gracePeriodSeconds", "force"],
    says: &["evict pod web-1", "evict pods labelled app=web"],
    make: Make::Of(|asked| draft(&asked.intent.params, asked.found)),
    reads: Reads::Nothing,
    floor: |_| floors::EVICT,
    floors: &[floors::EVICT],
    instead: None,
    weight: |step| {
        if step.params.grace_period_seconds == Some(0) {
            weights::DELETE_NOW
        } else {
            weights::EVICT
        }
    },
    pods: |_| Pods::Gone,
    harmless: false,
    line,
    undo: "nothing: the controller of the pod makes another one",
    mark: Mark::Gone,
};

/// kubectl has no word for a single eviction.
fn line(step: &Step, line: &Line) -> String {
    let namespace = step
        .targets
        .first()
        .and_then(|t| t.namespace.as_deref())
        .unwrap_or_default();
    let pods = if step.targets.len() == 1 {
        line.names.clone()
    } else {
        format!("{{{}}}", line.names.replace(' ', ","))
    };
    format!("create --raw /api/v1/namespaces/{namespace}/pods/{pods}/eviction -f eviction.json")
}

/// The step for one pod.
pub(super) fn draft(params: &IntentParams, pod: &Found) -> Result<Draft, Refusal> {
    let name = label_of(pod);
    if !pod.kind.is("", "Pod") {
        return Err(Refusal::Invalid(format!(
            "{name} is no pod; only pods are evicted"
        )));
    }
    if is_mirror(&pod.object) {
        return Err(Refusal::Invalid(format!(
            "{name} is run by the node itself from a file, so it cannot be evicted"
        )));
    }
    if pod.object.pointer("/metadata/deletionTimestamp").is_some() {
        return Err(Refusal::Nothing(format!("{name} is being deleted already")));
    }
    let owner = object::controller(&pod.object);
    if owner.is_none() && params.force != Some(true) {
        return Err(Refusal::Invalid(format!(
            "{name} has no controller, so nothing would replace it. Say so if it is to go all the same: with force"
        )));
    }
    let lost = volumes(&pod.object, &["emptyDir"]);
    let mut why = match owner {
        Some((kind, owner)) => format!(
            "{name} is replaced by {} {owner}, not brought back",
            kind.to_lowercase()
        ),
        None => format!("{name} has no controller: nothing replaces it"),
    };
    if !lost.is_empty() {
        why.push_str(&format!(
            "; what is in its emptyDir volume {} is lost",
            lost.join(", ")
        ));
    }
    let kept = IntentParams {
        timeout_seconds: Some(params.timeout_seconds.unwrap_or(PATIENCE)),
        grace_period_seconds: params.grace_period_seconds,
        // What nothing replaces is judged as a deletion.
        force: owner.is_none().then_some(true),
        ..IntentParams::default()
    };
    let mut step = blank(
        Action::Evict,
        Effect::Delete,
        vec![target(&pod.kind, &pod.object)],
        kept,
    );
    step.subresource = Some(SUBRESOURCE.to_owned());
    step.rollback = irreversible(why);
    Ok(Draft {
        step,
        sidecars: vec![],
        before: vec![pod.object.clone()],
    })
}

/// A pod that the kubelet runs from a file.
pub(super) fn is_mirror(pod: &Value) -> bool {
    object::annotation(pod, "kubernetes.io/config.mirror").is_some()
}

/// Names of a pod's volumes of these kinds.
pub(super) fn volumes<'a>(pod: &'a Value, kinds: &[&str]) -> Vec<&'a str> {
    object::list(pod, "/spec/volumes")
        .iter()
        .filter(|volume| kinds.iter().any(|kind| volume.get(kind).is_some()))
        .filter_map(|volume| volume.get("name")?.as_str())
        .collect()
}
