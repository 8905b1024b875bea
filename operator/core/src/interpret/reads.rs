//! Questions: how they open, and which read a clause is.

use kubechat_crds::intent::{Action, IntentParams, IntentTarget};

use super::frame::Frame;
use super::parser::{KindRef, Parser};
use super::phrase::Np;
use super::scope::Scope;
use super::tables::{ASKS, HAPPENING, HOW_FAR, WHICH};
use super::vocab::{self, Noun, Verb};
use super::{Ask, Draft};

impl<'a> Parser<'a> {
    /// A clause that opens as a question.
    pub(super) fn question(&mut self) -> Option<Frame<'a>> {
        let start = self.pos;
        if self.eat_phrase(HAPPENING) {
            return Some(self.opened(Verb::Show, start, Some(Noun::Events)));
        }
        if let Some(frame) = self.attempt(Self::said) {
            return Some(frame);
        }
        if self.eat_phrase(HOW_FAR) {
            return Some(self.opened(Verb::Ask, start, Some(Noun::Rollout)));
        }
        if self.eat_phrase(WHICH) {
            let state = vocab::state_at(|i| self.key(i));
            if state.is_some() || self.kind_at(0).is_some() && !matches!(self.key(0), "the") {
                let mut frame = self.opened(Verb::List, start, None);
                if state.is_some_and(|(_, len)| self.kind_at(len).is_none()) {
                    frame.targets.push(Np {
                        kind: self.lex.by_kind("Pod").map(KindRef::Known),
                        plural: true,
                        ..Np::default()
                    });
                }
                return Some(frame);
            }
            return Some(self.opened(Verb::Show, start, None));
        }
        if self.eat_phrase(ASKS) {
            return Some(self.opened(Verb::Ask, start, None));
        }
        None
    }

    /// "what did web log", "what web logged".
    pub(super) fn said(&mut self) -> Option<Frame<'a>> {
        let start = self.pos;
        if !self.eat_phrase(&["what did", "what does", "what has", "what is", "what do", "what"]) {
            return None;
        }
        let nps = self.noun_phrases().ok().filter(|nps| !nps.is_empty())?;
        if !self.eat(&[
            "log", "say", "print", "write", "output", "logged", "said", "printed", "logging", "saying",
            "printing", "writing",
        ]) {
            return None;
        }
        let mut frame = self.opened(Verb::Logs, start, Some(Noun::Logs));
        frame.targets = nps;
        Some(frame)
    }

    fn opened(&self, verb: Verb, start: usize, noun: Option<Noun>) -> Frame<'a> {
        let word = self.toks.get(start).map_or("", |t| t.key.as_str());
        let mut frame = Frame::new(verb, word, start);
        frame.nouns.extend(noun);
        frame
    }
}

/// The reads a clause asks for.
pub(super) fn build(frame: &Frame<'_>, scope: &Scope<'_>) -> Result<Vec<Draft>, Ask> {
    let mut out = Vec::new();
    for action in actions(frame) {
        for target in scope.targets(frame, action)? {
            out.push(read(frame, action, target)?);
        }
    }
    Ok(out)
}

/// Logs and events may be asked for together; everything else is one action.
fn actions(frame: &Frame<'_>) -> Vec<Action> {
    let named = [
        (frame.verb == Verb::Logs || frame.has(Noun::Logs), Action::Logs),
        (frame.has(Noun::Events), Action::Events),
        (
            frame.verb == Verb::RolloutStatus || frame.has(Noun::Rollout) || asks_for_rollout(frame),
            Action::RolloutStatus,
        ),
        (
            frame.verb == Verb::Describe || frame.has(Noun::Details),
            Action::Describe,
        ),
    ];
    let found: Vec<Action> = named
        .iter()
        .filter(|(said, _)| *said)
        .map(|(_, action)| *action)
        .collect();
    if !found.is_empty() {
        return found;
    }
    let named_object = frame
        .targets
        .iter()
        .any(|np| (!np.names.is_empty() || np.pronoun) && !(np.plural && np.kind_last));
    let of_an_owner = frame.targets.iter().any(|np| np.owner.is_some());
    let counts = frame.verb == Verb::Count && !(frame.has(Noun::Replicas) && named_object);
    vec![match (counts, named_object && !of_an_owner) {
        (true, _) => Action::Count,
        (false, true) => Action::Get,
        (false, false) => Action::List,
    }]
}

/// "is web done", asked of something that rolls out.
fn asks_for_rollout(frame: &Frame<'_>) -> bool {
    let rolls = |np: &Np<'_>| {
        !np.names.is_empty()
            && matches!(
                np.kind_name(),
                None | Some("Deployment" | "StatefulSet" | "DaemonSet")
            )
    };
    frame.verb == Verb::Ask && frame.state == Some("Completed") && frame.targets.iter().all(rolls)
}

fn read(frame: &Frame<'_>, action: Action, mut target: IntentTarget) -> Result<Draft, Ask> {
    let has_names = !target.names.is_empty();
    if frame.amount.is_some()
        || frame.image.is_some()
        || !frame.assigns.is_empty()
        || frame.particle.is_some()
        || frame.force
        || frame.has(Noun::Restart)
    {
        return Err(
            Ask::new("A question cannot hold a change; say what to change in words of its own").firm(),
        );
    }
    let states = frame.targets.iter().any(|np| np.state.is_some());
    if states && !matches!(action, Action::List | Action::Count)
        || frame.state.is_some() && matches!(action, Action::Logs | Action::Events)
    {
        return Err(Ask::new(
            "Objects are picked by name or label for this, not by state; list them first",
        ));
    }
    if frame.sort.is_some() && (action != Action::List || target.kind.as_deref() != Some("Pod")) {
        return Err(Ask::with(
            "Only a list of pods can be put in order by restarts",
            vec!["which pods restarted most".to_owned()],
        ));
    }
    let mut params = IntentParams {
        output: frame.output,
        sort: frame.sort,
        ..IntentParams::default()
    };
    match action {
        Action::Logs => {
            if !(has_names || target.selector.is_some()) {
                return Err(Ask::with(
                    "Logs of what? Name a pod or a workload",
                    vec!["logs of web".to_owned()],
                ));
            }
            (params.tail, params.since_seconds) = (frame.tail, frame.since);
            params.previous = frame.previous.then_some(true);
            params.container.clone_from(&frame.container);
        }
        Action::Events => {
            params.since_seconds = frame.since;
            // "events of namespace prod" are the events in it.
            if target.kind.as_deref() == Some("Namespace") && target.names.len() == 1 {
                target = IntentTarget {
                    namespace: target.names.pop(),
                    ..IntentTarget::default()
                };
            }
            if target.names.is_empty() && target.kind.is_some() {
                target.all = true;
            }
        }
        Action::RolloutStatus | Action::Describe if !(has_names || target.selector.is_some()) => {
            let what = if action == Action::Describe {
                "Describe what?"
            } else {
                "The rollout of what?"
            };
            return Err(Ask::new(format!(
                "{what} Name the object, for example deploy/web"
            )));
        }
        Action::List | Action::Count => listed(frame, action, &mut target, &mut params)?,
        _ => {}
    }
    let times = matches!(action, Action::Logs | Action::Events);
    if (frame.since.is_some() && !times) || (frame.tail.is_some() || frame.previous) && action != Action::Logs
    {
        return Err(Ask::new(
            "Only logs and events can be limited to a time or to a number of lines",
        ));
    }
    if target.kind.is_none() && !has_names && matches!(action, Action::List | Action::Count | Action::Get) {
        return Err(which_kind());
    }
    Ok(Draft {
        action,
        target,
        params,
    })
}

fn listed(
    frame: &Frame<'_>,
    action: Action,
    target: &mut IntentTarget,
    params: &mut IntentParams,
) -> Result<(), Ask> {
    let prenominal = frame.targets.iter().find_map(|np| np.state);
    // "are all pods running" wants to see those that are not, too.
    let whole = frame.verb == Verb::Ask && frame.targets.iter().any(|np| np.all);
    params.state = frame.state.or(prenominal).filter(|_| !whole).map(str::to_owned);
    // Only pods have this word in their status column.
    if params.state.as_deref() == Some("Running") && target.kind.as_deref().is_some_and(|k| k != "Pod") {
        params.state = None;
    }
    // "which are failing" means pods.
    if target.kind.is_none() && target.names.is_empty() && params.state.is_some() && !target.all {
        target.kind = Some("Pod".to_owned());
    }
    target.all = false;
    if target.kind.is_none() && target.names.len() == 1 && action == Action::Count {
        target.kind = target.names.pop();
    }
    if frame.has(Noun::Replicas) && target.kind.is_none() {
        return Err(Ask::new(
            "Replicas of what? Name a workload, for example deploy/web",
        ));
    }
    Ok(())
}

fn which_kind() -> Ask {
    let kinds = ["pods", "deployments", "services", "configmaps", "jobs"];
    Ask::with(
        "Which kind of object is meant?",
        kinds.iter().map(|k| format!("list {k}")).collect(),
    )
}
