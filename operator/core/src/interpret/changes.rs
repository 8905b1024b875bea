//! Which change a clause asks for, and its parameters.
//!
//! **Invariant:** a change comes only out of a verb that means it, with everything it needs said and nothing said that
//! it does not use. Where a verb alone does not decide (`set`, `update`, `bring`), what it was said with does.

use kubechat_crds::intent::{Action, IntentParams, IntentTarget};

use super::frame::{Amount, Frame, Particle, Revision};
use super::scope::Scope;
use super::vocab::{Noun, Verb};
use super::{Ask, Draft, guard, names, quantities, sentence};

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
    let reads = [Noun::Logs, Noun::Events, Noun::Status, Noun::Details, Noun::Rollout].iter().any(|n| frame.has(*n));
    let rows = frame.targets.iter().any(|np| (np.plural || frame.word == "get") && !np.indefinite);
    matches!(frame.verb, Verb::Want) && nothing_to_do && (reads || rows)
}

fn decide(frame: &Frame<'_>) -> Result<Action, Ask> {
    let by_verb = match frame.verb {
        Verb::Restart => Some(Action::Restart),
        Verb::Unlabel if frame.has(Noun::Annotation) => Some(Action::Annotate),
        Verb::Label | Verb::Unlabel => Some(Action::Label),
        Verb::Annotate => Some(Action::Annotate),
        Verb::Cordon => Some(Action::Cordon),
        Verb::Uncordon => Some(Action::Uncordon),
        Verb::Undo => Some(Action::RolloutUndo),
        Verb::SetImage => Some(Action::SetImage),
        Verb::SetResources => Some(Action::SetResources),
        Verb::Factor(_) => Some(Action::Scale),
        Verb::Delete | Verb::Drop | Verb::Kill => Some(removal(frame)?),
        Verb::Scale | Verb::ScaleUp | Verb::ScaleDown if frame.resources.is_empty() => Some(Action::Scale),
        _ => None,
    };
    match by_verb {
        Some(action) => Ok(action),
        None => by_evidence(frame),
    }
}

/// "delete" with a label, a number of replicas, or an object.
fn removal(frame: &Frame<'_>) -> Result<Action, Ask> {
    if frame.has(Noun::Label) {
        return Ok(Action::Label);
    }
    if frame.has(Noun::Annotation) {
        return Ok(Action::Annotate);
    }
    if frame.amount.is_some() {
        if frame.targets.is_empty() {
            return Err(Ask::new("Objects are deleted by name or selector, not by number"));
        }
        let counted = frame.has(Noun::Replicas) || frame.verb == Verb::Drop;
        return if counted { Ok(Action::Scale) } else { Err(Ask::new("Objects are deleted by name or selector, not by number")) };
    }
    let kinds = || frame.targets.iter().map(|np| np.kind_name());
    let unsure = match frame.verb {
        Verb::Kill => !kinds().all(|k| matches!(k, Some("Pod" | "Job"))),
        Verb::Drop => !kinds().all(|k| k.is_some()),
        _ => false,
    };
    if unsure {
        let name = frame.targets.first().and_then(|np| np.names.first()).map_or("NAME", String::as_str);
        return Err(Ask::with(
            format!("'{}' can mean several things; say what to do", frame.word),
            vec![format!("delete {name}"), format!("restart {name}"), format!("scale {name} to 0")],
        ));
    }
    Ok(Action::Delete)
}

/// A verb that takes its meaning from what it is said with.
fn by_evidence(frame: &Frame<'_>) -> Result<Action, Ask> {
    let put_back = frame.word == "put" || frame.targets.iter().any(|np| np.kind_name() == Some("Node"));
    let namespace = frame.targets.iter().any(|np| np.kind_name() == Some("Namespace"));
    let makes = matches!(frame.verb, Verb::Create | Verb::Add | Verb::Want | Verb::Give) || frame.word == "make";
    let back = frame.particle == Some(Particle::Back) && frame.amount.is_none() && put_back;
    let evidence = [
        (frame.has(Noun::Restart), Action::Restart),
        (frame.has(Noun::Label), Action::Label),
        (frame.has(Noun::Annotation), Action::Annotate),
        (!frame.resources.is_empty() || frame.has(Noun::Resources), Action::SetResources),
        (frame.image.is_some() || frame.version.is_some(), Action::SetImage),
        (frame.amount.is_some(), Action::Scale),
        (frame.schedulable == Some(false) || frame.particle == Some(Particle::OutOfRotation), Action::Cordon),
        (frame.schedulable == Some(true) || frame.particle == Some(Particle::BackInRotation) || back, Action::Uncordon),
        (namespace && makes && !frame.labelish(), Action::CreateNamespace),
    ];
    let mut found = evidence.iter().filter(|(said, _)| *said).map(|(_, action)| *action);
    match (found.next(), found.next()) {
        (Some(action), None) => plausible(frame, action),
        (Some(first), Some(second)) => {
            Err(Ask::new(format!("The request mixes {first} and {second}; say them one after the other, with 'and' and a verb each")))
        }
        (None, _) => Err(incomplete(frame)),
    }
}

/// Verbs that could as well mean something else need the thing said.
fn plausible(frame: &Frame<'_>, action: Action) -> Result<Action, Ask> {
    let bare_number = action == Action::Scale && !frame.has(Noun::Replicas);
    let unsure = matches!(frame.verb, Verb::Update | Verb::Bump | Verb::Upgrade | Verb::Run | Verb::Want | Verb::Limit | Verb::Use);
    let step = matches!(frame.amount, Some(Amount::More(_) | Amount::Percent(_) | Amount::ByPercent(_)));
    if bare_number && unsure && !step {
        let name = frame.targets.first().and_then(|np| np.names.first()).map_or("NAME", String::as_str);
        return Err(Ask::with(
            format!("'{}' with a bare number can mean replicas or a version; say which", frame.word),
            vec![format!("scale {name} to 5"), format!("set the image of {name} to version 5")],
        ));
    }
    if action == Action::Restart && frame.verb != Verb::Give {
        return Err(incomplete(frame));
    }
    Ok(action)
}

fn incomplete(frame: &Frame<'_>) -> Ask {
    let kind = frame.targets.iter().find_map(|np| np.kind_name());
    match frame.verb {
        Verb::Create | Verb::Add => guard::not_in_this_version(
            &format!("creating {}", kind.map_or_else(|| "objects".to_owned(), |k| format!("a {k}"))),
            &["create namespace NAME"],
        ),
        Verb::Use => guard::not_in_this_version("create-deployment", &["set the image of NAME to IMAGE"]),
        Verb::Run => guard::not_in_this_version("running commands or new workloads", &["scale NAME to 3"]),
        _ => Ask::with(
            format!("I do not understand what '{}' should do; say the value too", frame.word),
            vec!["scale NAME to 3".to_owned(), "set the image of NAME to IMAGE".to_owned(), "set the memory limit of NAME to 512Mi".to_owned()],
        ),
    }
}

/// "undo that" against "roll back web".
fn undoes_last(frame: &Frame<'_>) -> Result<bool, Ask> {
    let vague = |np: &super::phrase::Np<'_>| np.pronoun;
    let nameless = frame.targets.iter().all(vague);
    if nameless {
        return match frame.revision {
            Some(Revision::Number(_)) if frame.targets.is_empty() => Err(Ask::new("Roll back what? Name the workload")),
            Some(Revision::Number(_)) => Ok(false),
            Some(Revision::Previous) if !frame.targets.is_empty() => Ok(false),
            Some(Revision::Previous) | None => {
                let plain = matches!(frame.word.as_str(), "undo" | "revert" | "roll" | "rollback" | "roll-back");
                if plain && (frame.word != "roll" || frame.particle == Some(Particle::Back) || frame.phrase_len > 1) {
                    Ok(true)
                } else {
                    Err(Ask::new("Go back to what? Name the workload, for example 'roll back web'"))
                }
            }
        };
    }
    let said = frame.revision.is_some() || frame.has(Noun::Rollout);
    let sure = match frame.word.as_str() {
        "undo" | "go" | "restore" => said,
        "roll" => frame.phrase_len > 1 || frame.particle == Some(Particle::Back),
        _ => true,
    };
    if sure { Ok(false) } else { Err(Ask::with("What should be undone? Say it in full", vec!["roll back NAME".to_owned()])) }
}

/// Everything said must be of use to the action.
fn fits(frame: &Frame<'_>, action: Action) -> Result<(), Ask> {
    let particle_fits = match frame.particle {
        None => true,
        Some(Particle::Up | Particle::Down) => matches!(action, Action::Scale | Action::SetResources | Action::RolloutUndo),
        Some(Particle::Back) => {
            matches!(action, Action::Scale | Action::SetResources | Action::RolloutUndo | Action::Uncordon | Action::SetImage)
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
        return Err(Ask::new(format!("I understood {action}, but not all that was said with it; say it more simply")));
    }
    Ok(())
}

const fn noun_fits(noun: Noun, action: Action) -> bool {
    match noun {
        Noun::Replicas => matches!(action, Action::Scale),
        Noun::Image | Noun::Version => matches!(action, Action::SetImage | Action::RolloutUndo),
        Noun::Label => matches!(action, Action::Label),
        Noun::Annotation => matches!(action, Action::Annotate),
        Noun::Cpu | Noun::Memory | Noun::Limit | Noun::Request | Noun::Resources => matches!(action, Action::SetResources),
        Noun::Container => matches!(action, Action::SetImage | Action::SetResources),
        Noun::Revision => matches!(action, Action::RolloutUndo),
        Noun::Rollout => matches!(action, Action::RolloutUndo | Action::Restart),
        Noun::Restart => matches!(action, Action::Restart),
        Noun::Scheduling => matches!(action, Action::Cordon | Action::Uncordon),
        Noun::Logs | Noun::Events | Noun::Status | Noun::Details => false,
    }
}

fn params(frame: &Frame<'_>, action: Action) -> Result<IntentParams, Ask> {
    let mut params = IntentParams { dry_run: frame.dry_run.then_some(true), ..IntentParams::default() };
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
                (None, None) => return Err(Ask::new("Which image? Say it with its tag, for example nginx:1.28")),
                (Some(_), Some(_)) => return Err(Ask::new("The request names an image and a version; say the image with its tag")),
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
        return Err(Ask::with(format!("Which {action}? Write it as key=value"), vec![format!("{action} NAME key=value")]));
    }
    for (key, value) in &frame.assigns {
        check_pair(key, value, action)?;
        if params.set.insert(key.clone(), value.clone()).is_some_and(|old| old != *value) {
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
        return Err(Ask::new(format!("{} is not a valid key of a {action}", names::shown(key))));
    }
    if action == Action::Label && !names::is_label_value(value) {
        return Err(Ask::new(format!("{} is not a valid label value", names::shown(value))));
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
    Ok(vec![Draft { action, target, params: params.clone() }])
}

/// Kinds that have neither replicas nor containers. Custom kinds may have, and are judged against the cluster.
const NO_WORKLOADS: &[&str] = &[
    "Namespace", "Node", "Service", "Ingress", "ConfigMap", "Secret", "ServiceAccount", "PersistentVolume", "PersistentVolumeClaim", "StorageClass",
    "NetworkPolicy", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Endpoints", "EndpointSlice", "ResourceQuota", "LimitRange",
    "HorizontalPodAutoscaler", "PodDisruptionBudget", "CustomResourceDefinition",
];

fn runs_pods(action: Action, target: &IntentTarget) -> Result<(), Ask> {
    let about_pods =
        matches!(action, Action::Scale | Action::Restart | Action::SetImage | Action::SetResources | Action::RolloutUndo);
    let Some(kind) = target.kind.as_deref().filter(|k| about_pods && NO_WORKLOADS.contains(k)) else { return Ok(()) };
    let candidates = target.names.iter().map(|name| format!("deployment {name}")).collect();
    Err(Ask::with(format!("{action} is for workloads; a {kind} has no pods of its own. Name the workload"), candidates).firm())
}

fn new_namespaces(target: &IntentTarget, params: &IntentParams) -> Result<Vec<Draft>, Ask> {
    if target.names.is_empty() || target.all || target.selector.is_some() {
        return Err(Ask::with("What is the namespace to be called?", vec!["create namespace NAME".to_owned()]));
    }
    if let Some(bad) = target.names.iter().find(|n| !names::is_label(n)) {
        return Err(Ask::new(format!("{} is not a valid namespace name: a-z, 0-9 and '-' only", names::shown(bad))));
    }
    let one = |name: &String| Draft {
        action: Action::CreateNamespace,
        target: IntentTarget { names: vec![name.clone()], ..target.clone() },
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
            ["pods", "deployments", "jobs"].iter().map(|k| format!("{action} all {k}")).collect(),
        ));
    }
    if target.all && !target.names.is_empty() {
        return Err(Ask::new("The request says 'all' and names objects; say one of the two"));
    }
    if named || target.all {
        return Ok(());
    }
    let Some(kind) = &target.kind else {
        return Err(Ask::new(format!("{action} what? Name the object")));
    };
    let plural = frame.targets.iter().any(|np| np.plural);
    let candidates = if plural { vec![format!("{action} all {}", sentence::plural(&kind.to_lowercase()))] } else { Vec::new() };
    Err(Ask::with(format!("{action} which {kind}? Give its name, a label selector, or say 'all'"), candidates))
}
