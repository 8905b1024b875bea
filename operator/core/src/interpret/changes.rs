//! Which change a clause asks for, and its parameters.
//!
//! **Invariant:** a change comes only out of a verb that means it, with everything it needs said and nothing said that
//! it does not use. Where a verb alone does not decide (`set`, `update`, `bring`), what it was said with does.

use kubechat_crds::intent::{Action, IntentParams, IntentTarget};

use super::decide::{decide, undoes_last};
use super::frame::{Frame, Particle, Revision};
use super::scope::Scope;
use super::tables::NO_WORKLOADS;
use super::vocab::{Noun, Verb};
use super::{Ask, Draft, names, quantities, sentence};

/// What a clause of a change comes to.
pub(super) enum Change {
    Drafts(Vec<Draft>),
    /// "undo that": the session's last plan.
    Undo,
    /// "I want the logs of web": a read after all.
    Read,
}

/// Builds the change of a clause.
pub(super) fn build(frame: &Frame<'_>, scope: &Scope<'_>) -> Result<Change, Ask> {
    if wants_to_read(frame) {
        return Ok(Change::Read);
    }
    let action = decide(frame)?;
    if action == Action::RolloutUndo && undoes_last(frame)? {
        return Ok(Change::Undo);
    }
    fits(frame, action)?;
    let params = params(frame, action)?;
    let mut drafts = Vec::new();
    for target in scope.targets(frame, action)? {
        drafts.extend(finish(frame, action, target, &params)?);
    }
    Ok(Change::Drafts(drafts))
}

fn wants_to_read(frame: &Frame<'_>) -> bool {
    let nothing_to_do = frame.amount.is_none()
        && frame.image.is_none()
        && frame.version.is_none()
        && frame.resources.is_empty()
        && !frame.labelish()
        && !frame.has(Noun::Restart);
    let reads = [
        Noun::Logs,
        Noun::Events,
        Noun::Status,
        Noun::Details,
        Noun::Rollout,
    ]
    .iter()
    .any(|n| frame.has(*n));
    let rows = frame
        .targets
        .iter()
        .any(|np| (np.plural || frame.word == "get") && !np.indefinite);
    matches!(frame.verb, Verb::Want) && nothing_to_do && (reads || rows)
}

/// Everything said must be of use to the action.
fn fits(frame: &Frame<'_>, action: Action) -> Result<(), Ask> {
    let particle_fits = match frame.particle {
        None => true,
        Some(Particle::Up | Particle::Down) => {
            matches!(action, Action::Scale | Action::SetResources | Action::RolloutUndo)
        }
        Some(Particle::Back) => {
            matches!(
                action,
                Action::Scale
                    | Action::SetResources
                    | Action::RolloutUndo
                    | Action::Uncordon
                    | Action::SetImage
            )
        }
        Some(Particle::OutOfRotation) => action == Action::Cordon,
        Some(Particle::BackInRotation) => action == Action::Uncordon,
    };
    let scales = action == Action::Scale;
    let labels = matches!(action, Action::Label | Action::Annotate);
    let misfit = [
        (frame.amount.is_some() || frame.from.is_some()) && !scales,
        (frame.image.is_some() || frame.version.is_some()) && action != Action::SetImage,
        !frame.resources.is_empty() && action != Action::SetResources,
        (!frame.assigns.is_empty() || !frame.removes.is_empty() || frame.key.is_some()) && !labels,
        frame.container.is_some() && !matches!(action, Action::SetImage | Action::SetResources),
        frame.revision.is_some() && action != Action::RolloutUndo,
        (frame.force || frame.grace.is_some() || frame.ignore_not_found) && action != Action::Delete,
        frame.schedulable.is_some() && !matches!(action, Action::Cordon | Action::Uncordon),
        frame.output.is_some() || frame.tail.is_some() || frame.since.is_some() || frame.previous,
        frame.nouns.iter().any(|noun| !noun_fits(*noun, action)),
        !particle_fits,
    ];
    if frame.state.is_some() || frame.targets.iter().any(|np| np.state.is_some()) {
        return Err(Ask::with(
            "Objects to change are picked by name or label, not by state; list them first",
            vec!["list failed pods".to_owned()],
        ));
    }
    if misfit.contains(&true) {
        return Err(Ask::new(format!(
            "I understood {action}, but not all that was said with it; say it more simply"
        )));
    }
    Ok(())
}

const fn noun_fits(noun: Noun, action: Action) -> bool {
    match noun {
        Noun::Replicas => matches!(action, Action::Scale),
        Noun::Image | Noun::Version => matches!(action, Action::SetImage | Action::RolloutUndo),
        Noun::Label => matches!(action, Action::Label),
        Noun::Annotation => matches!(action, Action::Annotate),
        Noun::Cpu | Noun::Memory | Noun::Limit | Noun::Request | Noun::Resources => {
            matches!(action, Action::SetResources)
        }
        Noun::Container => matches!(action, Action::SetImage | Action::SetResources),
        Noun::Revision => matches!(action, Action::RolloutUndo),
        Noun::Rollout => matches!(action, Action::RolloutUndo | Action::Restart),
        Noun::Restart => matches!(action, Action::Restart),
        Noun::Scheduling => matches!(action, Action::Cordon | Action::Uncordon),
        Noun::Logs | Noun::Events | Noun::Status | Noun::Details => false,
    }
}

fn params(frame: &Frame<'_>, action: Action) -> Result<IntentParams, Ask> {
    let mut params = IntentParams {
        dry_run: frame.dry_run.then_some(true),
        ..IntentParams::default()
    };
    match action {
        Action::Scale => quantities::replicas(frame, &mut params)?,
        Action::SetResources => {
            quantities::resources(frame, &mut params)?;
            params.container.clone_from(&frame.container);
        }
        Action::SetImage => {
            params.image = match (&frame.image, &frame.version) {
                (Some(image), None) => Some(image.clone()),
                (None, Some(tag)) => Some(format!(":{tag}")),
                (None, None) => {
                    return Err(Ask::new(
                        "Which image? Say it with its tag, for example nginx:1.28",
                    ));
                }
                (Some(_), Some(_)) => {
                    return Err(Ask::new(
                        "The request names an image and a version; say the image with its tag",
                    ));
                }
            };
            params.container.clone_from(&frame.container);
        }
        Action::Label | Action::Annotate => labels(frame, action, &mut params)?,
        Action::Delete => {
            params.force = frame.force.then_some(true);
            params.grace_period_seconds = frame.grace;
            params.ignore_not_found = frame.ignore_not_found.then_some(true);
        }
        Action::RolloutUndo => {
            if let Some(Revision::Number(n)) = frame.revision {
                params.revision = Some(n);
            }
        }
        _ => {}
    }
    Ok(params)
}

fn labels(frame: &Frame<'_>, action: Action, params: &mut IntentParams) -> Result<(), Ask> {
    if frame.key.is_some() || frame.assigns.is_empty() && frame.removes.is_empty() {
        return Err(Ask::with(
            format!("Which {action}? Write it as key=value"),
            vec![format!("{action} NAME key=value")],
        ));
    }
    for (key, value) in &frame.assigns {
        check_pair(key, value, action)?;
        if params
            .set
            .insert(key.clone(), value.clone())
            .is_some_and(|old| old != *value)
        {
            return Err(Ask::new(format!("{} is given two values", names::shown(key))));
        }
    }
    for key in &frame.removes {
        check_pair(key, "", action)?;
        if params.set.contains_key(key) {
            return Err(Ask::new(format!("{} is both set and removed", names::shown(key))));
        }
    }
    params.remove.clone_from(&frame.removes);
    Ok(())
}

/// Keys and values must be ones that Kubernetes takes.
pub(super) fn check_pair(key: &str, value: &str, action: Action) -> Result<(), Ask> {
    if !names::is_key(key) {
        return Err(Ask::new(format!(
            "{} is not a valid key of a {action}",
            names::shown(key)
        )));
    }
    if action == Action::Label && !names::is_label_value(value) {
        return Err(Ask::new(format!(
            "{} is not a valid label value",
            names::shown(value)
        )));
    }
    Ok(())
}

/// What each action needs of its target.
pub(super) fn finish(
    frame: &Frame<'_>,
    action: Action,
    target: IntentTarget,
    params: &IntentParams,
) -> Result<Vec<Draft>, Ask> {
    let mut target = target;
    if matches!(action, Action::Cordon | Action::Uncordon) {
        if target.kind.as_deref().is_some_and(|k| k != "Node") {
            return Err(Ask::new(format!("Only nodes can be {action}ed")));
        }
        target.kind = Some("Node".to_owned());
        target.all_namespaces = false;
    }
    if action == Action::CreateNamespace {
        return new_namespaces(&target, params);
    }
    runs_pods(action, &target)?;
    picked(frame, action, &target)?;
    Ok(vec![Draft {
        action,
        target,
        params: params.clone(),
    }])
}

fn runs_pods(action: Action, target: &IntentTarget) -> Result<(), Ask> {
    let about_pods = matches!(
        action,
        Action::Scale | Action::Restart | Action::SetImage | Action::SetResources | Action::RolloutUndo
    );
    let Some(kind) = target
        .kind
        .as_deref()
        .filter(|k| about_pods && NO_WORKLOADS.contains(k))
    else {
        return Ok(());
    };
    let candidates = target
        .names
        .iter()
        .map(|name| format!("deployment {name}"))
        .collect();
    Err(Ask::with(
        format!("{action} is for workloads; a {kind} has no pods of its own. Name the workload"),
        candidates,
    )
    .firm())
}

fn new_namespaces(target: &IntentTarget, params: &IntentParams) -> Result<Vec<Draft>, Ask> {
    if target.names.is_empty() || target.all || target.selector.is_some() {
        return Err(Ask::with(
            "What is the namespace to be called?",
            vec!["create namespace NAME".to_owned()],
        ));
    }
    if let Some(bad) = target.names.iter().find(|n| !names::is_label(n)) {
        return Err(Ask::new(format!(
            "{} is not a valid namespace name: a-z, 0-9 and '-' only",
            names::shown(bad)
        )));
    }
    let one = |name: &String| Draft {
        action: Action::CreateNamespace,
        target: IntentTarget {
            names: vec![name.clone()],
            ..target.clone()
        },
        params: params.clone(),
    };
    Ok(target.names.iter().map(one).collect())
}

/// A change needs names, a selector, or "all" with a kind.
fn picked(frame: &Frame<'_>, action: Action, target: &IntentTarget) -> Result<(), Ask> {
    let named = !target.names.is_empty() || target.selector.is_some();
    if target.all && target.kind.is_none() && !named {
        return Err(Ask::with(
            format!("{action} everything? Say which kind of object"),
            ["pods", "deployments", "jobs"]
                .iter()
                .map(|k| format!("{action} all {k}"))
                .collect(),
        ));
    }
    if target.all && !target.names.is_empty() {
        return Err(Ask::new(
            "The request says 'all' and names objects; say one of the two",
        ));
    }
    if named || target.all {
        return Ok(());
    }
    let Some(kind) = &target.kind else {
        return Err(Ask::new(format!("{action} what? Name the object")));
    };
    let plural = frame.targets.iter().any(|np| np.plural);
    let candidates = if plural {
        vec![format!("{action} all {}", sentence::plural(&kind.to_lowercase()))]
    } else {
        Vec::new()
    };
    Err(Ask::with(
        format!("{action} which {kind}? Give its name, a label selector, or say 'all'"),
        candidates,
    ))
}
