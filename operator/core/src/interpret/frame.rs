//! One verb with everything said about it, filled piece by piece in whatever order people say it.
//!
//! The loop in [`Parser::fill`] takes one phrase after the other until the clause ends. **Invariant:** every word is
//! taken by some phrase or the whole prompt is unclear; a slot said twice is a contradiction, never overwritten.

use super::Ask;
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
    /// The rows with the most of this first.
    pub(super) sort: Option<kubechat_crds::intent::SortBy>,
    pub(super) schedulable: Option<bool>,
    pub(super) particle: Option<Particle>,
    pub(super) last: Slot,
    /// Words were corrected or a pronoun was resolved.
    pub(super) unsure: bool,
    /// Made from the verb of the clause before ("and api to 3").
    pub(super) gap: bool,
    /// A clause in a form of its own.
    pub(super) form: Option<Box<super::forms::Taken>>,
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
            sort: None,
            schedulable: None,
            particle: None,
            last: Slot::None,
            unsure: false,
            gap: false,
            form: None,
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
            Verb::Show
                | Verb::List
                | Verb::Describe
                | Verb::Logs
                | Verb::Count
                | Verb::RolloutStatus
                | Verb::Ask
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
