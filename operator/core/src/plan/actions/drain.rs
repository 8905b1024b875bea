//! drain: a cordon of the node, then an eviction of each of its pods. The steps are those of [`super::cordon`] and
//! [`super::evict`], so that a plan says what it does; no step is called drain.

use kubechat_crds::intent::{Action, Intent, IntentParams};

use super::change::{Asked, Beside, Change, Make, NODE, Reads};
use super::{Draft, Found, Refusal, cordon, evict, label_of, object};
use crate::plan;

pub(super) const CHANGE: Change = Change {
    kinds: NODE,
    params: &["timeoutSeconds", "gracePeriodSeconds", "force"],
    says: &[
        "drain node-1",
        "evacuate node node-1",
        "kubectl drain node-1 --ignore-daemonsets --delete-emptydir-data",
    ],
    make: Make::Parts,
    reads: Reads::Nothing,
    line: |_, line| format!("drain {}", line.names),
    undo: "uncordon; evicted pods are not brought back, their controllers make others",
    ..evict::CHANGE
};

/// What a drain does to one node.
#[derive(Debug)]
pub struct Drained {
    /// The cordon (unless it is cordoned) and the evictions: no step reaches into two namespaces, none is long.
    pub drafts: Vec<Draft>,
    /// What it leaves where it is, in words.
    pub notes: Vec<String>,
}

/// The steps that drain a node on which these pods run.
///
/// # Errors
/// When a pod stands in the way, or there is nothing to do.
pub fn parts(
    intent: &Intent,
    node: &Found,
    pods: &[Found],
    now: jiff::Timestamp,
) -> Result<Drained, Refusal> {
    let name = label_of(node);
    if !node.kind.is("", "Node") {
        return Err(Refusal::Invalid(format!(
            "{name} is no node, so it is not drained"
        )));
    }
    let of_the_node = Intent {
        action: Action::Cordon,
        params: IntentParams::default(),
        ..intent.clone()
    };
    let asked = Asked {
        intent: &of_the_node,
        found: node,
        beside: Beside::default(),
        now,
    };
    let mut drafts = vec![];
    match cordon::draft(&asked, true) {
        Ok(mut draft) => {
            draft.step.selector = plan::chosen_by(intent);
            drafts.push(draft);
        }
        Err(Refusal::Nothing(_)) => {}
        Err(refusal) => return Err(refusal),
    }
    let (mut stay, mut alone) = (vec![], vec![]);
    let mut sorted: Vec<&Found> = pods.iter().collect();
    let place = |pod: &Found| {
        let text = |p: &str| {
            pod.object
                .pointer(p)
                .and_then(|v| v.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        (text("/metadata/namespace"), text("/metadata/name"))
    };
    sorted.sort_by_key(|pod| place(pod));
    for pod in sorted {
        let of_daemons = matches!(object::controller(&pod.object), Some(("DaemonSet", _)));
        if of_daemons || evict::is_mirror(&pod.object) {
            stay.push(place(pod));
            continue;
        }
        match evict::draft(&intent.params, pod) {
            Ok(mut draft) => {
                // How the node was chosen; the pods are those of the node, which the step records.
                draft.step.selector = plan::chosen_by(intent);
                draft.step.params.from = Some(name.clone());
                plan::join(&mut drafts, draft);
            }
            Err(Refusal::Nothing(_)) => {}
            Err(Refusal::Invalid(_)) => alone.push(place(pod)),
            Err(refusal @ Refusal::NeedsInput { .. }) => return Err(refusal),
        }
    }
    let list = |pods: &[(String, String)]| {
        let named: Vec<String> = pods
            .iter()
            .take(10)
            .map(|(ns, name)| format!("{ns}/{name}"))
            .collect();
        let more = pods.len().saturating_sub(named.len());
        let tail = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{}{tail}", named.join(", "))
    };
    if !alone.is_empty() {
        return Err(Refusal::Invalid(format!(
            "pods on {name} have no controller, so nothing would replace them: {}. Delete them first, or say that they are to go: drain {} with force",
            list(&alone),
            object::name(&node.object)
        )));
    }
    if drafts.is_empty() {
        return Err(Refusal::Nothing(format!(
            "{name} is cordoned and no pod is left on it that a drain moves; nothing was changed"
        )));
    }
    let mut notes = vec![];
    if !stay.is_empty() {
        notes.push(format!(
            "pods of DaemonSets and of the node itself stay on {name}: {}",
            list(&stay)
        ));
    }
    Ok(Drained { drafts, notes })
}
