//! Which action a clause of a change asks for.
//!
//! Where a verb alone does not decide (`set`, `update`, `bring`), what it was said with does, and two readings are asked
//! about.

use kubechat_crds::intent::Action;

use super::frame::{Amount, Frame, Particle, Revision};
use super::vocab::{Noun, Verb};
use super::{Ask, guard};

pub(super) fn decide(frame: &Frame<'_>) -> Result<Action, Ask> {
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
        return if counted {
            Ok(Action::Scale)
        } else {
            Err(Ask::new("Objects are deleted by name or selector, not by number"))
        };
    }
    let kinds = || frame.targets.iter().map(|np| np.kind_name());
    let unsure = match frame.verb {
        Verb::Kill => !kinds().all(|k| matches!(k, Some("Pod" | "Job"))),
        Verb::Drop => !kinds().all(|k| k.is_some()),
        _ => false,
    };
    if unsure {
        let name = frame
            .targets
            .first()
            .and_then(|np| np.names.first())
            .map_or("NAME", String::as_str);
        return Err(Ask::with(
            format!("'{}' can mean several things; say what to do", frame.word),
            vec![
                format!("delete {name}"),
                format!("restart {name}"),
                format!("scale {name} to 0"),
            ],
        ));
    }
    Ok(Action::Delete)
}

/// A verb that takes its meaning from what it is said with.
fn by_evidence(frame: &Frame<'_>) -> Result<Action, Ask> {
    let put_back = frame.word == "put" || frame.targets.iter().any(|np| np.kind_name() == Some("Node"));
    let namespace = frame.targets.iter().any(|np| np.kind_name() == Some("Namespace"));
    let makes =
        matches!(frame.verb, Verb::Create | Verb::Add | Verb::Want | Verb::Give) || frame.word == "make";
    let back = frame.particle == Some(Particle::Back) && frame.amount.is_none() && put_back;
    let evidence = [
        (frame.has(Noun::Restart), Action::Restart),
        (frame.has(Noun::Label), Action::Label),
        (frame.has(Noun::Annotation), Action::Annotate),
        (
            !frame.resources.is_empty() || frame.has(Noun::Resources),
            Action::SetResources,
        ),
        (frame.image.is_some() || frame.version.is_some(), Action::SetImage),
        (frame.amount.is_some(), Action::Scale),
        (
            frame.schedulable == Some(false) || frame.particle == Some(Particle::OutOfRotation),
            Action::Cordon,
        ),
        (
            frame.schedulable == Some(true) || frame.particle == Some(Particle::BackInRotation) || back,
            Action::Uncordon,
        ),
        (namespace && makes && !frame.labelish(), Action::CreateNamespace),
    ];
    let mut found = evidence
        .iter()
        .filter(|(said, _)| *said)
        .map(|(_, action)| *action);
    match (found.next(), found.next()) {
        (Some(action), None) => plausible(frame, action),
        (Some(first), Some(second)) => Err(Ask::new(format!(
            "The request mixes {first} and {second}; say them one after the other, with 'and' and a verb each"
        ))),
        (None, _) => Err(incomplete(frame)),
    }
}

/// Verbs that could as well mean something else need the thing said.
fn plausible(frame: &Frame<'_>, action: Action) -> Result<Action, Ask> {
    let bare_number = action == Action::Scale && !frame.has(Noun::Replicas);
    let unsure = matches!(
        frame.verb,
        Verb::Update | Verb::Bump | Verb::Upgrade | Verb::Run | Verb::Want | Verb::Limit | Verb::Use
    );
    let step = matches!(
        frame.amount,
        Some(Amount::More(_) | Amount::Percent(_) | Amount::ByPercent(_))
    );
    if bare_number && unsure && !step {
        let name = frame
            .targets
            .first()
            .and_then(|np| np.names.first())
            .map_or("NAME", String::as_str);
        return Err(Ask::with(
            format!(
                "'{}' with a bare number can mean replicas or a version; say which",
                frame.word
            ),
            vec![
                format!("scale {name} to 5"),
                format!("set the image of {name} to version 5"),
            ],
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
            &format!(
                "creating {}",
                kind.map_or_else(|| "objects".to_owned(), |k| format!("a {k}"))
            ),
            &["create namespace NAME"],
        ),
        Verb::Use => guard::not_in_this_version("create-deployment", &["set the image of NAME to IMAGE"]),
        Verb::Run => guard::not_in_this_version("running commands or new workloads", &["scale NAME to 3"]),
        _ => Ask::with(
            format!(
                "I do not understand what '{}' should do; say the value too",
                frame.word
            ),
            vec![
                "scale NAME to 3".to_owned(),
                "set the image of NAME to IMAGE".to_owned(),
                "set the memory limit of NAME to 512Mi".to_owned(),
            ],
        ),
    }
}

/// "undo that" against "roll back web".
pub(super) fn undoes_last(frame: &Frame<'_>) -> Result<bool, Ask> {
    let vague = |np: &super::phrase::Np<'_>| np.pronoun;
    let nameless = frame.targets.iter().all(vague);
    if nameless {
        return match frame.revision {
            Some(Revision::Number(_)) if frame.targets.is_empty() => {
                Err(Ask::new("Roll back what? Name the workload"))
            }
            Some(Revision::Number(_)) => Ok(false),
            Some(Revision::Previous) if !frame.targets.is_empty() => Ok(false),
            Some(Revision::Previous) | None => {
                let plain = matches!(
                    frame.word.as_str(),
                    "undo" | "revert" | "roll" | "rollback" | "roll-back"
                );
                if plain
                    && (frame.word != "roll"
                        || frame.particle == Some(Particle::Back)
                        || frame.phrase_len > 1)
                {
                    Ok(true)
                } else {
                    Err(Ask::new(
                        "Go back to what? Name the workload, for example 'roll back web'",
                    ))
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
    if sure {
        Ok(false)
    } else {
        Err(Ask::with(
            "What should be undone? Say it in full",
            vec!["roll back NAME".to_owned()],
        ))
    }
}
