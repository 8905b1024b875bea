//! From noun phrases to intent targets: kinds, pronouns, owners, names that can be names.

use kubechat_crds::intent::{Action, Intent, IntentTarget};

use super::frame::Frame;
use super::parser::KindRef;
use super::phrase::Np;
use super::session::{self, Earlier};
use super::{Ask, lexicon::Lexicon, names};

/// Most names in one target, as the intent's schema has it.
const MAX_NAMES: usize = 64;
/// Longest selector, as the intent's schema has it.
const MAX_SELECTOR: usize = 1024;

/// Nouns for all there is. A workload of such a name is meant only where its kind is said.
const WHOLES: &[&str] = &[
    "cluster",
    "lot",
    "system",
    "environment",
    "env",
    "platform",
    "world",
    "mess",
    "universe",
    "infrastructure",
    "whole",
    "place",
    "internet",
];

/// What words may refer to: the session's earlier turns and the intents of this prompt so far.
pub(super) struct Scope<'a> {
    pub(super) lexicon: &'a Lexicon,
    pub(super) session: &'a [Earlier],
    pub(super) turn: Vec<Intent>,
}

impl Scope<'_> {
    /// The targets of a clause, one per kind and namespace.
    pub(super) fn targets(&self, frame: &Frame<'_>, action: Action) -> Result<Vec<IntentTarget>, Ask> {
        let mut out = Vec::new();
        let empty = Np::default();
        let phrases: Vec<&Np<'_>> = if frame.targets.is_empty() {
            vec![&empty]
        } else {
            frame.targets.iter().collect()
        };
        for np in phrases {
            let base = self.one(np, action)?;
            for namespace in &frame.namespaces {
                out.push(placed(base.clone(), frame, Some(namespace)));
            }
            if frame.namespaces.is_empty() {
                out.push(placed(base, frame, None));
            }
        }
        for target in &mut out {
            self.check(target, action)?;
        }
        Ok(out)
    }

    fn one(&self, np: &Np<'_>, action: Action) -> Result<IntentTarget, Ask> {
        if let Some(owner) = &np.owner {
            return self.owned(np, owner, action);
        }
        if np.pronoun {
            return self.antecedent(np, action);
        }
        if let Some(word) = np
            .vague
            .as_deref()
            .filter(|w| !(action.is_read() && np.names.is_empty() && matches!(*w, "any" | "some")))
            && action != Action::CreateNamespace
        {
            return Err(Ask::new(format!(
                "I cannot tell which objects '{word}' picks; give their names or a label selector"
            )));
        }
        if let ([word], None, false) = (np.names.as_slice(), &np.kind, action.is_read())
            && WHOLES.contains(&word.as_str())
        {
            return Err(Ask::with(
                format!(
                    "All of {}? Say which kind of object, and where",
                    names::shown(word)
                ),
                ["pods", "deployments", "services", "jobs"]
                    .map(|kind| format!("{action} all {kind}"))
                    .to_vec(),
            ));
        }
        Ok(IntentTarget {
            kind: np.kind.as_ref().map(|k| k.name().to_owned()),
            group: group_of(np.kind.as_ref()),
            names: np.names.clone(),
            all: np.all,
            ..IntentTarget::default()
        })
    }

    /// "the pods of web": for a restart and for logs that is web itself.
    fn owned(&self, np: &Np<'_>, owner: &Np<'_>, action: Action) -> Result<IntentTarget, Ask> {
        match action {
            Action::Restart | Action::Logs | Action::RolloutStatus | Action::Events => {
                self.one(owner, action)
            }
            Action::List | Action::Get | Action::Count => {
                let owner = self.one(owner, action)?;
                Ok(IntentTarget {
                    kind: np.kind.as_ref().map(|k| k.name().to_owned()),
                    group: group_of(np.kind.as_ref()),
                    names: owner.names,
                    namespace: owner.namespace,
                    ..IntentTarget::default()
                })
            }
            Action::Scale => self.one(owner, action),
            _ => Err(Ask::new(
                "Pods cannot be picked by their owner for this; name the owner, the pods themselves, or a label selector",
            )),
        }
    }

    /// What "it" is: the target before in this prompt, else what the session named. A read is about the newest turn that
    /// named something; a change only about the one thing that all of them named.
    fn antecedent(&self, np: &Np<'_>, action: Action) -> Result<IntentTarget, Ask> {
        let found: Vec<&IntentTarget> = match self.turn.last() {
            Some(last) => Some(&last.target)
                .filter(|t| session::names_objects(t))
                .into_iter()
                .collect(),
            None if action.is_read() => {
                let newest = session::last_named(self.session);
                newest.map_or_else(Vec::new, |turn| session::named(std::slice::from_ref(turn)))
            }
            None if session::last_meant(self.session).is_none() => vec![],
            None => session::named(self.session),
        };
        match found.as_slice() {
            [one] => {
                let mut target = (*one).clone();
                match (np.kind_name(), &target.kind) {
                    (Some(said), Some(known)) if said != known => {
                        return Err(Ask::new(format!("No {said} was named before; say its name")));
                    }
                    (Some(said), None) => {
                        target.kind = Some(said.to_owned());
                        target.group = group_of(np.kind.as_ref());
                    }
                    (Some(_), Some(_)) | (None, _) => {}
                }
                Ok(target)
            }
            [] => Err(Ask::new("I cannot tell what 'it' or 'that' is; say the name")),
            several => Err(Ask::with(
                "I cannot tell which of the objects named before is meant; say the name",
                several.iter().flat_map(|t| t.names.iter().cloned()).collect(),
            )),
        }
    }

    fn check(&self, target: &mut IntentTarget, action: Action) -> Result<(), Ask> {
        let known = target.kind.as_deref().and_then(|k| self.lexicon.by_kind(k));
        if known.is_some_and(|k| !k.namespaced) {
            target.all_namespaces = false;
            if let Some(namespace) = &target.namespace {
                let kind = target.kind.as_deref().unwrap_or_default();
                return Err(Ask::new(format!(
                    "{kind} objects are in no namespace, so {} does not fit; leave it out",
                    names::shown(namespace)
                )));
            }
        }
        if target.names.len() > MAX_NAMES || target.selector.as_ref().is_some_and(|s| s.len() > MAX_SELECTOR)
        {
            return Err(Ask::new(format!(
                "At most {MAX_NAMES} names and {MAX_SELECTOR} bytes of selector fit in one request"
            )));
        }
        for name in &target.names {
            check_name(name, target.kind.as_deref(), action)?;
        }
        if action.is_read() {
            return Ok(());
        }
        let made = super::form_create::makes(action);
        if let Some(selector) = target
            .selector
            .as_ref()
            .filter(|_| target.kind.is_none() && !made)
        {
            let text = names::shown(selector);
            return Err(Ask::new(format!(
                "Which kind of object is meant by {text}? Say for example 'pods labelled ...'"
            )));
        }
        Ok(())
    }
}

/// A question about "them" is about the objects of the request before, where it does not say which itself.
pub(super) fn narrowed(turn: &mut [Intent], meant: &Intent) -> Result<(), Ask> {
    for intent in turn {
        let target = &mut intent.target;
        if !intent.action.is_read() || target.kind != meant.target.kind || session::names_objects(target) {
            return Err(Ask::new(
                "Which of them? Say it as a question about one kind of object",
            ));
        }
        target.names.clone_from(&meant.target.names);
        target.selector.clone_from(&meant.target.selector);
        if target.namespace.is_none() && !target.all_namespaces {
            target.namespace.clone_from(&meant.target.namespace);
            target.all_namespaces = meant.target.all_namespaces;
        }
        intent.params.state = intent.params.state.take().or_else(|| meant.params.state.clone());
    }
    Ok(())
}

pub(super) fn check_name(name: &str, kind: Option<&str>, action: Action) -> Result<(), Ask> {
    let Some(problem) = names::object_problem(name, kind) else {
        return Ok(());
    };
    let lower = name.to_lowercase();
    let only_case = names::is_subdomain(&lower);
    if action.is_read() && only_case {
        return Ok(());
    }
    Err(Ask::with(
        problem,
        if only_case { vec![lower] } else { Vec::new() },
    ))
}

fn group_of(kind: Option<&KindRef<'_>>) -> Option<String> {
    match kind {
        Some(KindRef::Known(info)) if !info.group.is_empty() => Some(info.group.clone()),
        Some(KindRef::Known(_) | KindRef::Written(_)) | None => None,
    }
}

fn placed(mut target: IntentTarget, frame: &Frame<'_>, namespace: Option<&String>) -> IntentTarget {
    if let Some(namespace) = namespace {
        target.namespace = Some(namespace.clone());
    }
    if !frame.selector.is_empty() {
        target.selector = Some(frame.selector.join(","));
        target.all = false;
    }
    if frame.all_namespaces {
        target.all_namespaces = true;
        target.namespace = None;
    }
    target
}
