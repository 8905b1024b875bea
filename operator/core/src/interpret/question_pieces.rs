//! The pieces of questions that have a form of their own: revisions, a second object, a right, an order.

use kubechat_crds::intent::{Action, IntentParams, IntentTarget, SortBy};

use super::forms::{Opening, opens, put};
use super::frame::Frame;
use super::parser::{KindRef, Parser};
use super::phrase::Np;
use super::token::Token;
use super::{Ask, names};

/// Questions that have a form of their own.
#[rustfmt::skip]
pub(super) const QUESTIONS: &[Opening] = &[
    opens(Action::RolloutHistory, &[
        "rollout history", "rollout history of", "rollout history for", "history of", "history of deployment rollouts of",
        "show the history of", "show history of", "show the rollout history of", "show rollout history of",
        "revisions of", "the revisions of", "show the revisions of", "show revisions of", "list the revisions of",
        "list revisions of", "list all revisions of", "show all revisions of", "what revisions does", "which revisions does",
        "what revisions are there of", "which revisions are there of", "what are the revisions of",
    ]),
    opens(Action::Compare, &[
        "compare", "diff", "diff between", "difference between", "the difference between", "differences between",
        "what is the difference between", "what are the differences between", "show the difference between",
        "show the differences between", "show the diff between", "what changed between", "what is different between",
        "what differs between", "what has changed between", "what changed from",
    ]),
    opens(Action::Top, &[
        "top", "top of", "show top", "resource usage of", "show resource usage of", "show the resource usage of", "usage of",
        "show the usage of", "resource usage for", "what is the resource usage of",
        "cpu usage of", "show cpu usage of", "show the cpu usage of", "what is the cpu usage of", "how much cpu does",
        "how much cpu do", "how much cpu is used by", "memory usage of", "show memory usage of", "show the memory usage of",
        "what is the memory usage of", "how much memory does", "how much memory do", "how much memory is used by",
        "which pods use the most", "which pods use most", "what pods use the most", "which pods consume the most",
        "which pods need the most", "which pods are using the most", "which pods eat the most", "which pod uses the most",
        "which pod consumes the most", "which pod is using the most",
        "which nodes use the most", "which nodes use most", "which nodes consume the most", "which nodes are using the most",
        "which node uses the most", "which node is using the most",
    ]),
    opens(Action::CanI, &[
        "am i allowed to", "are we allowed to", "do i have permission to", "do i have the permission to",
        "do we have permission to", "do i have the right to", "do i have the rights to", "do i have rights to",
        "am i permitted to", "am i able to", "do my rights allow me to", "is it allowed for me to",
    ]),
];

/// Openings of a question about rights only before a verb of change: "can I see the pods" is a polite request.
const MAY_I: &[&str] = &["can i", "may i", "can i actually"];

/// What a person may ask to be allowed: verbs of RBAC and actions.
const RIGHTS: &[(&str, &str)] = &[
    ("get", "get"),
    ("see", "get"),
    ("read", "get"),
    ("view", "get"),
    ("describe", "get"),
    ("list", "list"),
    ("watch", "watch"),
    ("create", "create"),
    ("make", "create"),
    ("add", "create"),
    ("update", "update"),
    ("edit", "update"),
    ("change", "update"),
    ("modify", "update"),
    ("patch", "patch"),
    ("delete", "delete"),
    ("remove", "delete"),
    ("destroy", "delete"),
    ("scale", "scale"),
    ("restart", "restart"),
    ("label", "label"),
    ("annotate", "annotate"),
    ("cordon", "cordon"),
    ("uncordon", "uncordon"),
    ("drain", "drain"),
    ("evict", "evict"),
];

/// A verb that rights are asked about; other verbs of RBAC (`use`, `bind`) come only in a pasted line.
pub(super) fn right(word: &str) -> Option<&'static str> {
    RIGHTS
        .iter()
        .find(|(said, _)| *said == word)
        .map(|(_, verb)| *verb)
}

/// Whether this is a verb that rights are asked about.
pub(crate) fn is_right(verb: &str) -> bool {
    RIGHTS.iter().any(|(_, known)| *known == verb)
}

impl<'a> Parser<'a> {
    /// The length of `can I` where a change that rights can be asked about follows.
    pub(super) fn right_asked(&self) -> Option<usize> {
        let len = self.phrase(MAY_I)?;
        let change = right(self.key(len)).is_some_and(|verb| !matches!(verb, "get" | "list" | "watch"));
        change.then_some(len)
    }

    /// What an opening such as "which pods use the most" already says.
    pub(super) fn asked_usage(&self, action: Action, said: &[Token]) -> (Option<Np<'a>>, Option<SortBy>) {
        if action != Action::Top {
            return (None, None);
        }
        let any = |words: &[&str]| said.iter().any(|t| words.contains(&t.key.as_str()));
        let kind = match (any(&["pod", "pods"]), any(&["node", "nodes"])) {
            (true, _) => Some("Pod"),
            (_, true) => Some("Node"),
            (false, false) => None,
        };
        let np = kind.and_then(|kind| self.lex.by_kind(kind)).map(|info| Np {
            kind: Some(KindRef::Known(info)),
            plural: true,
            ..Np::default()
        });
        let sort = match (any(&["cpu"]), any(&["memory"])) {
            (true, _) => Some(SortBy::Cpu),
            (_, true) => Some(SortBy::Memory),
            (false, false) => None,
        };
        (np, sort)
    }

    /// One piece of a question.
    pub(super) fn question_piece(
        &mut self,
        action: Action,
        frame: &mut Frame<'a>,
        params: &mut IntentParams,
    ) -> Result<bool, Ask> {
        match action {
            Action::RolloutHistory => {
                if self.eat(&["have", "has"]) {
                    return Ok(true);
                }
                match self.attempt(Self::revision_number) {
                    Some(n) => put(&mut params.revision, n, "the revision"),
                    None => Ok(false),
                }
            }
            Action::Diff => {
                let Some(first) = self.attempt(Self::revision_number) else {
                    return Ok(false);
                };
                put(&mut params.revision, first, "the first revision")?;
                let second = self.attempt(|p| {
                    p.eat(&["and", "to", "with", "vs", "versus", "against", ",", "from", "&"])
                        .then(|| p.revision_number().or_else(|| p.number()))
                        .flatten()
                });
                if let Some(second) = second {
                    put(&mut params.to_revision, second, "the second revision")?;
                }
                Ok(true)
            }
            Action::Compare => self.second_object(frame, params),
            Action::CanI if params.verb.is_none() && frame.targets.is_empty() => {
                let found = right(self.key(0));
                self.pos += usize::from(found.is_some());
                params.verb = found.map(str::to_owned);
                Ok(found.is_some())
            }
            Action::Top => {
                let from = self.pos;
                self.eat_phrase(&["by", "sorted by", "ordered by", "with the most", "in terms of"]);
                let sort = match self.key(0) {
                    "cpu" => SortBy::Cpu,
                    "memory" | "mem" | "ram" => SortBy::Memory,
                    "use" | "using" | "need" | "take" | "consume" if self.pos == from => {
                        self.pos += 1;
                        return Ok(true);
                    }
                    _ => {
                        self.pos = from;
                        return Ok(false);
                    }
                };
                self.pos += 1;
                self.eat(&["usage", "use", "consumption"]);
                put(&mut params.sort, sort, "the order")
            }
            _ => Ok(false),
        }
    }

    fn revision_number(&mut self) -> Option<i64> {
        self.eat(&["the"]);
        if !self.eat(&["revision", "revisions", "rev"]) {
            return None;
        }
        self.number().filter(|n| *n > 0)
    }

    /// `with api`, `and prod` after `in demo`.
    fn second_object(&mut self, frame: &mut Frame<'a>, params: &mut IntentParams) -> Result<bool, Ask> {
        let [first] = frame.targets.as_mut_slice() else {
            return Ok(false);
        };
        let from = self.pos;
        if first.names.len() == 1
            && let [_] = frame.namespaces.as_slice()
        {
            self.eat(&["and", "with", "to", "vs", "versus", "against"]);
            self.eat(&["in"]);
            self.eat(&["the"]);
            let joined = from > 0 || self.pos > from;
            let text = self.text(0);
            if joined
                && names::is_label(text)
                && self.is_name(0)
                && matches!(self.key(1), "" | "?" | "." | "namespace" | "namespaces")
            {
                self.pos += 1;
                self.eat(&["namespace", "namespaces"]);
                return put(
                    &mut params.other_namespace,
                    text.to_owned(),
                    "the other namespace",
                );
            }
            self.pos = from;
            return Ok(false);
        }
        if !self.eat(&["with", "to", "against", "vs", "versus", "from", "and"]) {
            return Ok(false);
        }
        let second = self.noun_phrase()?;
        let kind = |np: &Np<'_>| np.kind_name().map(str::to_owned);
        match second {
            Some(np) if np.names.len() == 1 && (np.kind.is_none() || kind(&np) == kind(first)) => {
                first.names.extend(np.names);
                Ok(true)
            }
            Some(_) | None => {
                self.pos = from;
                Ok(false)
            }
        }
    }
}

/// The target of a question, as far as the question can be answered for it.
pub(super) fn fitting(
    action: Action,
    mut target: IntentTarget,
    params: &IntentParams,
) -> Result<IntentTarget, Ask> {
    let kind = target.kind.as_deref();
    let wrong = match action {
        Action::RolloutHistory | Action::Diff => {
            let rolls = matches!(kind, None | Some("Deployment" | "StatefulSet" | "DaemonSet"));
            (!rolls || target.names.len() != 1)
                .then_some("The revisions of which workload? For example 'rollout history of web'")
        }
        Action::Compare => {
            let two = target.names.len() == 2 && params.other_namespace.is_none()
                || target.names.len() == 1 && params.other_namespace.is_some() && target.namespace.is_some();
            (!two).then_some(
                "Compare which two objects? For example 'compare deployment web with deployment api'",
            )
        }
        Action::CanI => kind
            .is_none()
            .then_some("On which kind of object? For example 'can I delete pods in prod'"),
        Action::Top => (!matches!(kind, None | Some("Pod" | "Node")))
            .then_some("Use is measured for pods and nodes: 'top pods', 'top nodes'"),
        _ => None,
    };
    if let Some(text) = wrong {
        return Err(Ask::new(text));
    }
    if action == Action::Top && target.kind.is_none() {
        target.kind = Some("Pod".to_owned());
    }
    target.all = false;
    Ok(target)
}

/// A question in words, without its place.
pub(super) fn phrase(action: Action, params: &IntentParams, target: &str) -> String {
    match action {
        Action::RolloutHistory => {
            let one = params
                .revision
                .map_or(String::new(), |n| format!(" revision {n}"));
            format!("show the rollout history of {target}{one}")
        }
        Action::Diff if params.manifest.is_some() => {
            format!("diff the manifest of {target} against what is there")
        }
        Action::Explain => {
            let path = params.path.as_ref().map_or(String::new(), |p| format!(" {p}"));
            format!("explain {target}{path}")
        }
        Action::Find => {
            let what = if target.is_empty() { "objects" } else { target };
            let by = [
                params.image.as_ref().map(|i| format!(" with image {i}")),
                params.text.as_ref().map(|t| format!(" that contain '{t}'")),
                params.from.as_ref().map(|o| format!(" that belong to {o}")),
            ];
            format!("find {what}{}", by.into_iter().flatten().collect::<String>())
        }
        Action::Diff => {
            let first = params.revision.unwrap_or_default();
            let second = params.to_revision.map_or(String::new(), |n| format!(" and {n}"));
            format!("diff revision {first}{second} of {target}")
        }
        Action::CanI => format!("can I {} {target}", params.verb.as_deref().unwrap_or_default()),
        Action::Top => {
            let order = params.sort.map_or("", |by| match by {
                SortBy::Cpu => " by cpu",
                SortBy::Memory => " by memory",
                SortBy::Restarts => "",
            });
            format!("top {target}{order}")
        }
        _ => format!("{action} {target}"),
    }
}
