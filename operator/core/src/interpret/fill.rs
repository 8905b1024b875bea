//! The loop that takes phrase after phrase until a clause ends, and puts objects where they belong.

use super::Ask;
use super::frame::{Frame, Slot, once};
use super::parser::{KindRef, Parser};
use super::phrase::Np;
use super::vocab::{Noun, Verb};

impl<'a> Parser<'a> {
    /// Takes phrases until the clause ends.
    pub(super) fn fill(&mut self, frame: &mut Frame<'a>) -> Result<(), Ask> {
        loop {
            let filled = self.fillers();
            if self.eat(&["(", ")"]) {
                continue;
            }
            if self.at_end() || self.hard_stop() {
                break;
            }
            if self.correction_ahead() || (filled && self.clause_starts() && !self.nominal_ahead(frame)) {
                break;
            }
            if self.soft_join() {
                if self.continues(frame)? {
                    continue;
                }
                break;
            }
            if !(self.attribute(frame)? || self.target(frame)?) {
                return Err(self.unclear());
            }
        }
        frame.end = self.pos;
        Ok(())
    }

    /// A word that is a verb elsewhere but names what the clause is about (`with a limit of`, `the log of`).
    fn nominal_ahead(&self, frame: &Frame<'_>) -> bool {
        let noun = matches!(super::vocab::noun(self.key(0)), Some(Noun::Limit | Noun::Request));
        noun && !frame.resources.is_empty() && matches!(self.key(1), "to" | "of" | "at" | "=" | ":")
    }

    pub(super) fn hard_stop(&self) -> bool {
        matches!(self.key(0), ";" | "." | "?" | "!" | "\n")
    }

    pub(super) fn soft_join(&self) -> bool {
        matches!(self.key(0), "," | "and" | "&" | "+" | "plus" | "—")
            || self.phrase(&["as well as"]).is_some()
    }

    /// Takes `, and also` and the like.
    pub(super) fn eat_joins(&mut self) {
        while self.eat(&[",", "and", "&", "+", "plus", "also", "then", "—"])
            || self.eat_phrase(&["as well as"])
            || self.fillers()
        {}
    }

    /// After a comma or "and": whether the same clause goes on.
    fn continues(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let from = self.pos;
        self.eat_joins();
        if self.at_end() || self.hard_stop() {
            return Ok(true);
        }
        let ends = self.clause_starts() && !self.nominal_ahead(frame);
        if ends || self.correction_ahead() {
            self.pos = from;
            return Ok(false);
        }
        if self.attribute(frame)? {
            return Ok(true);
        }
        if !frame.targets.is_empty() {
            self.pos = from;
            return Ok(false);
        }
        Ok(true)
    }

    /// Objects, with or without a preposition before them.
    pub(super) fn target(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let from = self.pos;
        let prepositions: &[&str] = &[
            "of", "for", "on", "to", "from", "with", "about", "in", "at", "into", "behind", "off", "off of",
            "onto",
        ];
        let preposition = self.key(0);
        let led = self.eat_phrase(prepositions);
        let nps = self.noun_phrases()?;
        if nps.is_empty() {
            self.pos = from;
            return Ok(false);
        }
        self.place(frame, nps, if led { preposition } else { "" })?;
        Ok(true)
    }

    /// Puts noun phrases where they belong.
    fn place(&mut self, frame: &mut Frame<'a>, nps: Vec<Np<'a>>, preposition: &str) -> Result<(), Ask> {
        let led = !preposition.is_empty();
        // `the nginx container`, `the tier label`: the name belongs to the noun after it.
        if let [np] = nps.as_slice()
            && let [name] = np.names.as_slice()
            && np.kind.is_none()
        {
            if self.eat(&["container", "containers"]) {
                frame.last = Slot::Other;
                return once(&mut frame.container, name.clone(), "the container");
            }
            let removal = matches!(frame.verb, Verb::Delete | Verb::Drop | Verb::Unlabel);
            let labels = matches!(self.key(0), "label" | "labels" | "annotation" | "annotations");
            if removal && labels && frame.removes.is_empty() {
                frame.removes.push(name.clone());
                frame.nouns.extend(super::vocab::noun(self.key(0)));
                self.pos += 1;
                frame.last = Slot::Other;
                return Ok(());
            }
        }
        if led
            && let [namespace] = nps.as_slice()
            && namespace.kind_name() == Some("Namespace")
            && (frame.is_read() && !matches!(frame.verb, Verb::Describe) || !frame.targets.is_empty())
            && !namespace.names.is_empty()
        {
            frame.namespaces.extend(namespace.names.iter().cloned());
            frame.last = Slot::Namespace;
            return Ok(());
        }
        let mut nps = nps;
        if frame.is_read() && frame.targets.is_empty() {
            self.rows(frame, &mut nps);
        }
        // `(payments namespace)` after the object.
        if let ([np], false) = (nps.as_slice(), frame.targets.is_empty())
            && np.kind_name() == Some("Namespace")
            && np.kind_last
            && frame.verb != Verb::Delete
        {
            frame.namespaces.extend(np.names.iter().cloned());
            frame.last = Slot::Namespace;
            return Ok(());
        }
        if !frame.targets.is_empty() {
            return self.second_target(frame, nps, preposition);
        }
        frame.targets = nps;
        frame.last = Slot::Target;
        Ok(())
    }

    /// "list deploymnts", "list widgets": a word after these verbs is a kind, if need be as written.
    fn rows(&mut self, frame: &mut Frame<'a>, nps: &mut [Np<'a>]) {
        let [np] = nps else { return };
        let [name] = np.names.as_slice() else { return };
        let plain =
            np.kind.is_none() && !np.generic && !frame.has(Noun::Replicas) && !self.is_quoted_before();
        if !(plain && matches!(frame.verb, Verb::List | Verb::Show | Verb::Count)) {
            return;
        }
        let (name, here) = (name.clone(), self.pos);
        self.pos = here.saturating_sub(1);
        let plural = self
            .tok(0)
            .is_some_and(|t| t.text == name && (frame.verb != Verb::Show || t.key.ends_with('s')));
        let found = if plural { self.mistyped_kind(0) } else { None };
        self.pos = here;
        let kind = match found {
            Some(kind) => {
                frame.unsure = true;
                KindRef::Known(kind.info)
            }
            None if frame.verb == Verb::Show => return,
            None => KindRef::Written(name),
        };
        *np = Np {
            kind: Some(kind),
            plural: true,
            names: Vec::new(),
            ..std::mem::take(np)
        };
    }

    fn is_quoted_before(&self) -> bool {
        self.pos
            .checked_sub(1)
            .and_then(|at| self.toks.get(at))
            .is_some_and(|t| t.shape == super::token::Shape::Quoted)
    }

    /// A second mention of objects in one clause: `the deployment ... of web`.
    fn second_target(
        &self,
        frame: &mut Frame<'a>,
        mut nps: Vec<Np<'a>>,
        preposition: &str,
    ) -> Result<(), Ask> {
        let led = !preposition.is_empty();
        if let ([first], [second]) = (frame.targets.as_mut_slice(), nps.as_mut_slice()) {
            let kind_then_name = first.is_bare_kind() && second.kind.is_none() && !second.names.is_empty();
            if kind_then_name
                && matches!(preposition, "of" | "for")
                && first.kind_name() != Some("Namespace")
                && frame.verb != Verb::Delete
                && !first.plural
            {
                first.names.append(&mut second.names);
                return Ok(());
            }
            let pods = frame.verb == Verb::Count
                || frame.verb == Verb::Show
                || frame.verb == Verb::List
                || frame.verb == Verb::Ask;
            let owner = matches!(
                second.kind_name(),
                None | Some("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob")
            );
            if pods
                && owner
                && first.is_bare_kind()
                && first.kind_name() == Some("Pod")
                && !second.names.is_empty()
            {
                first.owner = Some(Box::new(std::mem::take(second)));
                return Ok(());
            }
            let workload = matches!(
                second.kind_name(),
                Some("Deployment" | "StatefulSet" | "DaemonSet" | "Pod")
            );
            let images = matches!(
                frame.verb,
                Verb::Set | Verb::Update | Verb::Upgrade | Verb::Bump | Verb::SetImage
            );
            if images
                && led
                && first.kind.is_none()
                && first.names.len() == 1
                && workload
                && !second.names.is_empty()
            {
                once(&mut frame.container, first.names.remove(0), "the container")?;
                *first = std::mem::take(second);
                return Ok(());
            }
            let name_then_kind = first.kind.is_none() && second.is_bare_kind() && !second.plural && !led;
            if name_then_kind && !second.all && second.state.is_none() {
                first.kind = second.kind.take();
                return Ok(());
            }
        }
        Err(Ask::new(
            "I cannot tell which objects are meant: two are named in one request",
        ))
    }
}
