//! drain: a cordon of the node, then an eviction of each of its pods. The steps are those of [`super::cordon`] and
//! [`super::evict`], so that a plan says what it does; no step is called drain.

use kubechat_crds::Step;
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

/// The steps that drain several nodes. One on which there is nothing to do holds up none of the others.
///
/// # Errors
/// The first that cannot be drained; or that there is nothing to do on any.
pub fn together(each: Vec<Result<Drained, Refusal>>) -> Result<Drained, Refusal> {
    let (mut drafts, mut notes, mut nothing) = (vec![], vec![], vec![]);
    for one in each {
        match one {
            Ok(drained) => {
                drafts.extend(drained.drafts);
                notes.extend(drained.notes);
            }
            Err(Refusal::Nothing(why)) => nothing.push(why),
            Err(refusal) => return Err(refusal),
        }
    }
    if drafts.is_empty() {
        return Err(Refusal::Nothing(nothing.join("\n")));
    }
    notes.extend(nothing);
    Ok(Drained { drafts, notes })
}

/// Nodes that are named in an example.
const MAX_EXAMPLE: usize = 8;

/// What to ask for instead of a drain that needs more steps than a plan may have; `None` where nothing is drained.
#[must_use]
pub fn fewer(steps: &[&Step], limit: usize) -> Option<String> {
    let drained = |step: &Step| Some(step.params.from.as_deref()?.strip_prefix("node/")?.to_owned());
    let node = |step: &Step| {
        let cordoned = step.targets.first().filter(|_| step.action == Action::Cordon);
        cordoned.map_or_else(|| drained(step), |target| Some(target.name.clone()))
    };
    // The steps of a node stand together.
    let mut nodes: Vec<(String, usize)> = vec![];
    for name in steps.iter().filter_map(|step| node(step)) {
        match nodes.last_mut().filter(|(last, _)| *last == name) {
            Some((_, count)) => *count += 1,
            None => nodes.push((name, 1)),
        }
    }
    steps.iter().find_map(|step| drained(step))?;
    let mut room = limit.saturating_sub(steps.len() - nodes.iter().map(|(_, n)| n).sum::<usize>());
    let fitting: Vec<&str> = nodes
        .iter()
        .take(MAX_EXAMPLE)
        .map_while(|(name, count)| {
            room = room.checked_sub(*count)?;
            Some(name.as_str())
        })
        .collect();
    let few = plan::MAX_EVICTIONS;
    let Some((last, others)) = fitting.split_last() else {
        let (name, count) = nodes.first()?;
        return Some(format!(
            "A step evicts {few} pods at most, so {name} alone needs {count} steps. Evict a part of its pods first, by their labels (kubectl kubechat ask \"evict pods labelled KEY=VALUE\"), then drain it"
        ));
    };
    let named = if others.is_empty() {
        (*last).to_owned()
    } else {
        format!("{} and {last}", others.join(", "))
    };
    Some(format!(
        "A step evicts {few} pods at most. Drain fewer nodes at a time; these fit: kubectl kubechat ask \"drain {named}\""
    ))
}
