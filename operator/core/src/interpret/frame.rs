//! One verb with everything said about it, filled piece by piece in whatever order people say it.
//!
//! The loop in [`Parser::fill`] takes one phrase after the other until the clause ends. **Invariant:** every word is
//! taken by some phrase or the whole prompt is unclear; a slot said twice is a contradiction, never overwritten.

use super::Ask;
use super::parser::{KindRef, Parser};
use super::phrase::Np;
use super::vocab::{Noun, Verb};
use super::words::Quantity;

/// How many replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// `to 5`
    To(i64),
    /// `by 2`
    By(i64),
    /// `two more`, `two fewer` (negative).
    More(i64),
    /// `5 replicas`, without a preposition.
    Bare(i64),
    /// `to 50%`, `twice as many`.
    Percent(i64),
    /// `by 50%`
    ByPercent(i64),
}

/// One word or value about resources, in the order said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Res {
    Cpu,
    Memory,
    Limit,
    Request,
    Value(Quantity),
}

/// Which revision an undo goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revision {
    Previous,
    Number(i64),
}

/// Particles that belong to the verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Particle {
    Up,
    Down,
    Back,
    OutOfRotation,
    BackInRotation,
}

/// What was filled last; a bare word after "no," replaces that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Slot {
    #[default]
    None,
    Target,
    Namespace,
    Amount,
    Image,
    Resource,
    Other,
}

/// A clause in the making.
#[derive(Clone, Debug)]
pub(super) struct Frame<'a> {
    pub(super) verb: Verb,
    /// The verb's first word, for the few that share a class but not a meaning.
    pub(super) word: String,
    /// How many words the verb phrase has.
    pub(super) phrase_len: usize,
    /// Tokens of the clause, end exclusive.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) targets: Vec<Np<'a>>,
    pub(super) namespaces: Vec<String>,
    pub(super) all_namespaces: bool,
    pub(super) selector: Vec<String>,
    pub(super) amount: Option<Amount>,
    pub(super) from: Option<i64>,
    pub(super) nouns: Vec<Noun>,
    pub(super) image: Option<String>,
    /// A bare tag.
    pub(super) version: Option<String>,
    pub(super) resources: Vec<Res>,
    pub(super) relative: bool,
    pub(super) assigns: Vec<(String, String)>,
    /// A label or annotation key whose value is still to come.
    pub(super) key: Option<String>,
    pub(super) removes: Vec<String>,
    pub(super) container: Option<String>,
    pub(super) since: Option<i64>,
    pub(super) tail: Option<i64>,
    pub(super) previous: bool,
    pub(super) revision: Option<Revision>,
    pub(super) force: bool,
    pub(super) grace: Option<i64>,
    pub(super) ignore_not_found: bool,
    pub(super) dry_run: bool,
    pub(super) output: Option<kubechat_crds::intent::Output>,
    pub(super) state: Option<&'static str>,
    pub(super) schedulable: Option<bool>,
    pub(super) particle: Option<Particle>,
    pub(super) last: Slot,
    /// Words were corrected or a pronoun was resolved.
    pub(super) unsure: bool,
    /// Made from the verb of the clause before ("and api to 3").
    pub(super) gap: bool,
}

impl<'a> Frame<'a> {
    pub(super) fn new(verb: Verb, word: &str, start: usize) -> Self {
        Self {
            verb,
            word: word.to_owned(),
            phrase_len: 1,
            start,
            end: start,
            targets: Vec::new(),
            namespaces: Vec::new(),
            all_namespaces: false,
            selector: Vec::new(),
            amount: None,
            from: None,
            nouns: Vec::new(),
            image: None,
            version: None,
            resources: Vec::new(),
            relative: false,
            assigns: Vec::new(),
            key: None,
            removes: Vec::new(),
            container: None,
            since: None,
            tail: None,
            previous: false,
            revision: None,
            force: false,
            grace: None,
            ignore_not_found: false,
            dry_run: false,
            output: None,
            state: None,
            schedulable: None,
            particle: None,
            last: Slot::None,
            unsure: false,
            gap: false,
        }
    }

    /// A clause that leaves its verb out takes the one before.
    pub(super) fn gapped(&self, start: usize) -> Self {
        let mut next = Self::new(self.verb, &self.word, start);
        next.nouns.clone_from(&self.nouns);
        next.gap = true;
        next
    }

    pub(super) fn has(&self, noun: Noun) -> bool {
        self.nouns.contains(&noun)
    }

    pub(super) fn labelish(&self) -> bool {
        matches!(self.verb, Verb::Label | Verb::Unlabel | Verb::Annotate)
            || self.has(Noun::Label)
            || self.has(Noun::Annotation)
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(
            self.verb,
            Verb::Show | Verb::List | Verb::Describe | Verb::Logs | Verb::Count | Verb::RolloutStatus | Verb::Ask
        )
    }

    /// Whether the verb can be about replicas.
    pub(super) fn can_scale(&self) -> bool {
        matches!(
            self.verb,
            Verb::Scale
                | Verb::ScaleUp
                | Verb::ScaleDown
                | Verb::Factor(_)
                | Verb::Set
                | Verb::Update
                | Verb::Bump
                | Verb::Increase
                | Verb::Decrease
                | Verb::Give
                | Verb::Add
                | Verb::Delete
                | Verb::Drop
                | Verb::Bring
                | Verb::Run
                | Verb::Want
                | Verb::Limit
                | Verb::Upgrade
        )
    }

    /// Whether the verb can be about resources of containers.
    pub(super) fn can_resource(&self) -> bool {
        matches!(
            self.verb,
            Verb::Set
                | Verb::Update
                | Verb::Bump
                | Verb::Increase
                | Verb::Decrease
                | Verb::Give
                | Verb::Add
                | Verb::Limit
                | Verb::Reserve
                | Verb::Want
                | Verb::SetResources
                | Verb::Bring
                | Verb::Drop
                | Verb::Scale
                | Verb::ScaleUp
                | Verb::ScaleDown
        )
    }

    /// Whether the verb can be about an image.
    pub(super) fn can_image(&self) -> bool {
        matches!(
            self.verb,
            Verb::Set
                | Verb::Update
                | Verb::Upgrade
                | Verb::Bump
                | Verb::Use
                | Verb::SetImage
                | Verb::Run
                | Verb::Want
                | Verb::Bring
                | Verb::Give
        )
    }
}

/// Puts a value into an empty slot.
pub(super) fn once<T>(slot: &mut Option<T>, value: T, what: &str) -> Result<(), Ask> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Ask::new(format!("The request names {what} twice; say one"))),
    }
}

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
        matches!(self.key(0), "," | "and" | "&" | "+" | "plus" | "—") || self.phrase(&["as well as"]).is_some()
    }

    /// Takes `, and also` and the like.
    pub(super) fn eat_joins(&mut self) {
        while self.eat(&[",", "and", "&", "+", "plus", "also", "then", "—"]) || self.eat_phrase(&["as well as"]) || self.fillers()
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
        let prepositions: &[&str] = &["of", "for", "on", "to", "from", "with", "about", "in", "at", "into", "behind", "off", "off of", "onto"];
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
        let plain = np.kind.is_none() && !np.generic && !frame.has(Noun::Replicas) && !self.is_quoted_before();
        if !(plain && matches!(frame.verb, Verb::List | Verb::Show | Verb::Count)) {
            return;
        }
        let (name, here) = (name.clone(), self.pos);
        self.pos = here.saturating_sub(1);
        let plural = self.tok(0).is_some_and(|t| t.text == name && (frame.verb != Verb::Show || t.key.ends_with('s')));
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
        *np = Np { kind: Some(kind), plural: true, names: Vec::new(), ..std::mem::take(np) };
    }

    fn is_quoted_before(&self) -> bool {
        self.pos.checked_sub(1).and_then(|at| self.toks.get(at)).is_some_and(|t| t.shape == super::token::Shape::Quoted)
    }

    /// A second mention of objects in one clause: `the deployment ... of web`.
    fn second_target(&self, frame: &mut Frame<'a>, mut nps: Vec<Np<'a>>, preposition: &str) -> Result<(), Ask> {
        let led = !preposition.is_empty();
        if let ([first], [second]) = (frame.targets.as_mut_slice(), nps.as_mut_slice()) {
            let kind_then_name = first.is_bare_kind() && second.kind.is_none() && !second.names.is_empty();
            if kind_then_name && matches!(preposition, "of" | "for") && first.kind_name() != Some("Namespace") && frame.verb != Verb::Delete && !first.plural {
                first.names.append(&mut second.names);
                return Ok(());
            }
            let pods = frame.verb == Verb::Count || frame.verb == Verb::Show || frame.verb == Verb::List || frame.verb == Verb::Ask;
            let owner = matches!(second.kind_name(), None | Some("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob"));
            if pods && owner && first.is_bare_kind() && first.kind_name() == Some("Pod") && !second.names.is_empty() {
                first.owner = Some(Box::new(std::mem::take(second)));
                return Ok(());
            }
            let workload = matches!(second.kind_name(), Some("Deployment" | "StatefulSet" | "DaemonSet" | "Pod"));
            let images = matches!(frame.verb, Verb::Set | Verb::Update | Verb::Upgrade | Verb::Bump | Verb::SetImage);
            if images && led && first.kind.is_none() && first.names.len() == 1 && workload && !second.names.is_empty() {
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
        Err(Ask::new("I cannot tell which objects are meant: two are named in one request"))
    }
}
