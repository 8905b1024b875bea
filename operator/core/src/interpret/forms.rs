//! Requests that have a form of their own: how they open, and which pieces they take. What a verb of the general grammar
//! leaves to what it is said with ([`super::decide`]), a form fixes by its opening.
//!
//! **Invariants** as for frames: every word is taken by some piece or the prompt is unclear; a piece said twice is a
//! contradiction; a form never takes a piece that its action does not use.

use kubechat_crds::intent::{Action, IntentParams, IntentTarget};

use super::clause::Mood;
use super::frame::{Frame, once};
use super::parser::Parser;
use super::scope::Scope;
use super::vocab::{self, Form, Verb};
use super::{Ask, Draft, form_create, form_net, form_new, form_pieces, names, question_pieces, sentence};
use crate::catalogue;

/// What a form has taken so far.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// Its action. `None` until the kind of the object decides.
    pub(super) action: Action,
    /// Its parameters.
    pub(super) params: IntentParams,
    /// A name whose value is still to come.
    pub(super) pending: Option<String>,
}

impl Taken {
    /// Whether nothing was said but the object.
    pub(super) fn is_bare(&self) -> bool {
        self.params == IntentParams::default() && self.pending.is_none()
    }
}

/// How a form opens.
pub(super) struct Opening {
    action: Action,
    phrases: &'static [&'static str],
    /// Fits only before this kind.
    kind: Option<&'static str>,
}

pub(super) const fn opens(action: Action, phrases: &'static [&'static str]) -> Opening {
    Opening {
        action,
        phrases,
        kind: None,
    }
}

const fn opens_with(action: Action, kind: &'static str, phrases: &'static [&'static str]) -> Opening {
    Opening {
        action,
        phrases,
        kind: Some(kind),
    }
}

const PAUSES: &[&str] = &["pause", "hold", "put on hold", "halt"];
const RESUMES: &[&str] = &["resume", "unpause", "continue", "un-pause"];

#[rustfmt::skip]
const OPENINGS: &[Opening] = &[
    opens(Action::RolloutPause, &[
        "rollout pause", "pause the rollout of", "pause rollout of", "pause the rollout for", "pause rollouts of",
        "pause rollout", "hold the rollout of", "freeze the rollout of", "halt the rollout of", "pause the deployment of",
        "pause the rollouts of", "pause the rollout on",
    ]),
    opens(Action::RolloutResume, &[
        "rollout resume", "resume the rollout of", "resume rollout of", "resume the rollout for", "resume rollouts of",
        "resume rollout", "unpause the rollout of", "continue the rollout of", "unfreeze the rollout of",
        "resume the rollouts of", "resume the rollout on", "unpause rollout of",
    ]),
    opens_with(Action::RolloutPause, "Deployment", PAUSES),
    opens_with(Action::RolloutResume, "Deployment", RESUMES),
    opens_with(Action::Suspend, "CronJob", PAUSES),
    opens_with(Action::Suspend, "Job", PAUSES),
    opens_with(Action::Resume, "CronJob", RESUMES),
    opens_with(Action::Resume, "Job", RESUMES),
    opens(Action::Suspend, &["suspend"]),
    opens(Action::Resume, &["unsuspend", "un-suspend"]),
    opens(Action::Autoscale, &[
        "autoscale", "auto-scale", "auto scale", "enable autoscaling for", "enable autoscaling of", "enable autoscaling on",
        "set up autoscaling for", "turn on autoscaling for", "add autoscaling to", "add an hpa to", "add an hpa for",
        "create an hpa for", "add a horizontal pod autoscaler to", "create a horizontal pod autoscaler for",
        "add an autoscaler to", "add an autoscaler for", "create an autoscaler for", "set up an autoscaler for", "set up an hpa for",
    ]),
    opens(Action::Taint, &[
        "taint", "add taint", "add a taint", "add the taint", "put a taint", "put the taint", "set the taint", "set a taint",
        "apply the taint", "apply a taint", "apply taint",
    ]),
    opens(Action::Untaint, &[
        "untaint", "un-taint", "remove taint", "remove the taint", "delete the taint", "drop the taint", "take the taint",
        "take off the taint", "clear the taint", "delete taint", "lift the taint", "get rid of the taint",
    ]),
    opens_with(Action::ExpandPvc, "PersistentVolumeClaim", &[
        "expand", "grow", "resize", "enlarge", "extend", "increase", "increase the size of", "raise the size of",
        "bump the size of", "set the size of", "change the size of", "make", "increase the storage of", "bump", "scale",
        "increase the capacity of", "scale up", "upsize", "expand the size of", "update the size of",
    ]),
    opens(Action::Patch, &["patch"]),
    opens(Action::Evict, &["evict"]),
    opens(Action::BindRole, &["bind", "grant", "bind the", "grant the"]),
    opens(Action::Expose, &["expose", "create a service for", "add a service for", "make a service for", "put a service in front of"]),
    opens(Action::Drain, &[
        "drain", "evacuate", "drain node", "empty node", "empty the node", "drain the pods from", "drain all pods from",
        "drain the pods off", "evict all pods from node", "evict all pods on node", "evict all pods from the node",
        "evict everything from node", "move all pods off", "move everything off", "move all pods off node",
    ]),
];

/// Verbs that set or remove an environment variable, when the words for one follow.
const ENV_SET: &[&str] = &[
    "set",
    "add",
    "change",
    "update",
    "define",
    "put",
    "configure",
    "set up",
    "create",
    "give",
    "set-env",
];
const ENV_REMOVE: &[&str] = &["unset", "remove", "delete", "drop", "clear", "get rid of"];
pub(super) const ENV_NOUNS: &[&str] = &[
    "env",
    "envs",
    "env var",
    "env vars",
    "env variable",
    "env variables",
    "environment variable",
    "environment variables",
    "environment",
    "envvar",
    "envvars",
    "environment var",
    "environment vars",
    "env-var",
];

impl<'a> Parser<'a> {
    /// Whether a form opens here: its action and the words it takes.
    pub(super) fn form_here(&self) -> Option<(Action, usize)> {
        let own = self.env_here().or_else(|| self.create_here());
        if let Some(found) = own.or_else(|| self.service_here()).or_else(|| self.grant_here()) {
            return Some(found);
        }
        let fits = |opening: &&Opening, len: usize| {
            opening.kind.is_none_or(|kind| self.kind_soon(len) == Some(kind))
        };
        if let Some(len) = self.right_asked() {
            return Some((Action::CanI, len));
        }
        let found = OPENINGS.iter().chain(question_pieces::QUESTIONS).filter_map(|o| {
            Some((
                o.action,
                self.phrase(o.phrases).filter(|len| fits(&o, *len))?,
                o.kind,
            ))
        });
        let (action, len, kind) = found.max_by_key(|(_, len, _)| *len)?;
        // "resume scheduling on node-1" is a verb of its own.
        let longer = self
            .verb_here(0, Form::Base)
            .is_some_and(|(_, known)| known > len && kind.is_none());
        (!longer).then_some((action, len))
    }

    /// A form that opens with one verb, in another form of that verb.
    pub(super) fn form_inflected(&self, ahead: usize, form: Form) -> Option<(Action, usize)> {
        let bases = vocab::bases(self.key(ahead), form);
        let opens = |o: &&Opening| o.kind.is_none() && o.phrases.iter().any(|p| bases.iter().any(|b| b == p));
        OPENINGS.iter().find(opens).map(|o| (o.action, 1))
    }

    /// "create a load balancer service for web": the type stands before the noun, and is read as a piece.
    fn service_here(&self) -> Option<(Action, usize)> {
        let len = self.phrase(&[
            "create a",
            "create an",
            "create the",
            "create",
            "add a",
            "make a",
            "make an",
            "set up a",
        ])?;
        let kind = form_new::SERVICE_TYPES
            .iter()
            .filter_map(|(words, _)| vocab::phrase_len(words, |i| self.key(len + i)))
            .max()?;
        let service = self.key(len + kind) == "service";
        let led = matches!(self.key(len + kind + usize::from(service)), "for" | "of");
        led.then_some((Action::Expose, len))
    }

    /// "give user anna the role view"
    fn grant_here(&self) -> Option<(Action, usize)> {
        let whom = matches!(self.key(1), "user" | "group" | "serviceaccount")
            || self.key(1) == "service" && self.key(2) == "account";
        (self.key(0) == "give" && whom).then_some((Action::BindRole, 1))
    }

    fn env_here(&self) -> Option<(Action, usize)> {
        for (action, verbs) in [(Action::SetEnv, ENV_SET), (Action::SetEnv, ENV_REMOVE)] {
            let Some(mut len) = self.phrase(verbs) else {
                continue;
            };
            len += usize::from(matches!(
                self.key(len),
                "the" | "an" | "a" | "new" | "these" | "this"
            ));
            len += usize::from(self.key(len) == "new");
            let mut ahead = Parser::new(self.toks, self.lex);
            ahead.pos = self.pos + len;
            if let Some(noun) = ahead.phrase(ENV_NOUNS) {
                return Some((action, len + noun));
            }
            // "set LOG=debug env on web": the variable stands first, and is read with what follows it.
            ahead.pos += 1;
            if self.text(len).contains('=') && ahead.phrase(ENV_NOUNS).is_some() {
                return Some((action, len));
            }
        }
        None
    }

    /// The kind named within the next words of the same phrase.
    fn kind_soon(&self, from: usize) -> Option<&'a str> {
        for at in from..from + 3 {
            if let Some(found) = self.kind_at(at) {
                return Some(found.info.kind.as_str());
            }
            if let Some((left, _)) = self.text(at).split_once('/') {
                return self.lex.exact(left).map(|info| info.kind.as_str());
            }
            let goes_on = matches!(self.key(at), "the" | "my" | "our" | "all") || self.is_name(at);
            if !goes_on {
                return None;
            }
        }
        None
    }

    /// A clause in a form of its own, whole; `None` where none opens here.
    pub(super) fn form(&mut self, mood: Mood) -> Result<Option<Frame<'a>>, Ask> {
        let start = self.pos;
        // "what would happen if we drained n1", "the impact of draining n1"
        let told = || {
            let inflected = |form| self.form_inflected(0, form);
            inflected(Form::Participle).or_else(|| inflected(Form::Gerund))
        };
        let wondered = (mood == Mood::WhatIf).then(told).flatten();
        let Some((action, len)) = self.form_here().or(wondered) else {
            return self.undecided();
        };
        let word = self.key(0);
        let removes = action == Action::SetEnv && self.phrase(ENV_REMOVE).is_some();
        let said = self.toks.get(start..start + len).unwrap_or_default();
        let (np, sort) = self.asked_usage(action, said);
        self.pos += len;
        self.eat(&["the"]);
        let revisions = matches!(self.key(0), "revision" | "revisions" | "rev");
        let action = match action {
            Action::Compare if revisions => Action::Diff,
            other => other,
        };
        let mut frame = Frame::new(
            if action.is_read() { Verb::Show } else { Verb::Form },
            word,
            start,
        );
        frame.form = Some(Box::new(Taken {
            action,
            params: IntentParams {
                sort,
                ..IntentParams::default()
            },
            pending: None,
        }));
        frame.targets.extend(np);
        frame.gap = removes;
        self.fill_form(&mut frame)?;
        frame.gap = false;
        frame.end = self.pos;
        Ok(Some(frame))
    }

    /// "pause web": of what kind decides what it means.
    fn undecided(&self) -> Result<Option<Frame<'a>>, Ask> {
        let (pauses, resumes) = (self.phrase(PAUSES), self.phrase(RESUMES));
        let Some(len) = pauses
            .or(resumes)
            .filter(|_| self.verb_here(0, Form::Base).is_none())
        else {
            return Ok(None);
        };
        let name = (len..len + 3)
            .find(|at| self.is_name(*at))
            .map_or("NAME", |at| self.text(at));
        let say = if pauses.is_some() {
            [
                format!("pause the rollout of {name}"),
                format!("suspend cronjob {name}"),
                format!("scale {name} to 0"),
            ]
        } else {
            [
                format!("resume the rollout of {name}"),
                format!("resume cronjob {name}"),
                format!("scale {name} to 1"),
            ]
        };
        let word = self.key(0);
        Err(Ask::with(
            format!("'{word}' means different things for rollouts, CronJobs and replicas; say which"),
            say.to_vec(),
        )
        .firm())
    }

    /// "from web", "on web": the object, where none is named yet and no namespace is said to follow.
    fn object_led(&self, frame: &Frame<'_>) -> bool {
        let skip = 1 + usize::from(matches!(self.key(1), "the" | "my" | "our"));
        frame.targets.is_empty()
            && matches!(self.key(0), "from" | "of" | "on" | "for" | "to" | "off" | "onto")
            && !matches!(self.key(skip), "namespace" | "ns" | "namespaces")
    }

    fn action_of(&self, frame: &Frame<'_>) -> Action {
        frame.form.as_ref().map_or(Action::List, |taken| taken.action)
    }

    fn fill_form(&mut self, frame: &mut Frame<'a>) -> Result<(), Ask> {
        loop {
            let filled = self.fillers();
            if self.eat(&["(", ")"]) {
                continue;
            }
            if self.at_end() || self.hard_stop() || self.correction_ahead() {
                return Ok(());
            }
            if filled && self.clause_starts() {
                return Ok(());
            }
            let from = self.pos;
            if self.soft_join() {
                self.eat_joins();
                if self.at_end() || self.hard_stop() {
                    continue;
                }
                if self.clause_starts() {
                    self.pos = from;
                    return Ok(());
                }
                if self.piece(frame)? {
                    continue;
                }
                if !frame.targets.is_empty() {
                    self.pos = from;
                    return Ok(());
                }
                continue;
            }
            let said = form_net::told(frame);
            let took = self.flag(frame)?
                || self.piece(frame)?
                || (form_create::names_new(self.action_of(frame)) && self.new_name(frame)?)
                || (self.object_led(frame) && self.target(frame)?)
                || self.namespace(frame)?
                || self.selector(frame)?
                || (!form_create::makes(self.action_of(frame)) && self.target(frame)?);
            if !took {
                return Err(self.unclear());
            }
            if said.is_some() && said != form_net::told(frame) && !self.for_pods(from) {
                return Err(form_net::whose());
            }
        }
    }
}

/// The drafts of a clause in a form.
pub(super) fn build(frame: &Frame<'_>, taken: &Taken, scope: &Scope<'_>) -> Result<Vec<Draft>, Ask> {
    let action = taken.action;
    let foreign = frame.amount.is_some()
        || frame.from.is_some()
        || frame.image.is_some()
        || frame.version.is_some()
        || !frame.resources.is_empty()
        || !frame.assigns.is_empty()
        || !frame.removes.is_empty()
        || frame.key.is_some()
        || frame.revision.is_some()
        || frame.particle.is_some()
        || frame.schedulable.is_some()
        || frame.state.is_some()
        || frame.sort.is_some()
        || frame.output.is_some()
        || frame.tail.is_some()
        || frame.since.is_some()
        || frame.previous
        || ((frame.force || frame.grace.is_some()) && !matches!(action, Action::Evict | Action::Drain))
        || frame.ignore_not_found
        || !frame.nouns.is_empty()
        || frame.targets.iter().any(|np| np.state.is_some())
        || (frame.container.is_some() && action != Action::SetEnv);
    if foreign {
        return Err(Ask::new(format!(
            "I understood {action}, but not all that was said with it; say it more simply"
        )));
    }
    if let Some(name) = &taken.pending {
        return Err(Ask::new(format!(
            "{} is to have which value?",
            names::shown(name)
        )));
    }
    let mut params = taken.params.clone();
    if frame.container.is_some() {
        params.container.clone_from(&frame.container);
    }
    params.dry_run = frame.dry_run.then_some(true);
    params.force = frame.force.then_some(true);
    params.grace_period_seconds = frame.grace;
    form_pieces::complete(action, &params)?;
    let mut out = Vec::new();
    for mut target in scope.targets(frame, action)? {
        if action == Action::BindRole && target.names.is_empty() {
            target.names.push(form_net::binding_name(&params));
        }
        let target = if action.is_read() {
            question_pieces::fitting(action, target, &params)?
        } else {
            fitting(action, target)?
        };
        out.push(Draft {
            action,
            target,
            params: params.clone(),
        });
    }
    Ok(out)
}

/// The target, of a kind that the action is for.
pub(super) fn fitting(action: Action, mut target: IntentTarget) -> Result<IntentTarget, Ask> {
    if form_create::makes(action) {
        return form_create::new_object(action, target);
    }
    let kinds = catalogue::entry(action).kinds;
    let any = action == Action::Patch;
    let known = |kind: &str| kinds.iter().any(|(_, k)| *k == kind);
    let built_in = |kind: &str| kind.starts_with(|c: char| c.is_ascii_uppercase());
    if let Some(kind) = target
        .kind
        .as_deref()
        .filter(|k| !any && !known(k) && built_in(k))
    {
        let list: Vec<&str> = kinds.iter().map(|(_, kind)| *kind).collect();
        return Err(Ask::new(format!("{action} is for {}, not for a {kind}", list.join(", "))).firm());
    }
    if target.all && target.kind.is_none() {
        return Err(Ask::new(format!("{action} everything? Say which kind of object")));
    }
    if let (None, [(group, kind)]) = (&target.kind, kinds) {
        target.kind = Some((*kind).to_owned());
        target.group = Some((*group).to_owned()).filter(|g| !g.is_empty());
    }
    let named = !target.names.is_empty() || target.selector.is_some();
    if target.all && !target.names.is_empty() {
        return Err(Ask::new(
            "The request says 'all' and names objects; say one of the two",
        ));
    }
    if !(named || target.all) {
        let what = target
            .kind
            .as_deref()
            .map(|k| sentence::plural(&k.to_lowercase()));
        return Err(Ask::with(
            format!("{action} what? Name the object"),
            what.map(|k| format!("list {k}")).into_iter().collect(),
        ));
    }
    if target.kind.as_deref() == Some("Node") {
        target.all_namespaces = false;
    }
    Ok(target)
}

/// Puts a value into a parameter that is not said yet.
pub(super) fn put<T>(slot: &mut Option<T>, value: T, what: &str) -> Result<bool, Ask> {
    once(slot, value, what).map(|()| true)
}
