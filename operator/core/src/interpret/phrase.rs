//! Noun phrases: `the web and api deployments`, `deploy/nginx`, `all pods`, `pods of web`, `it`.

use super::parser::{KindRef, Parser};
use super::tables::{JOINS, MOST_RESTARTS, NAMED, OWNED_BY};
use super::token::Shape;
use super::vocab::{self, Form};
use super::{Ask, names};

/// What one noun phrase names.
#[derive(Clone, Debug, Default)]
pub(super) struct Np<'a> {
    pub(super) kind: Option<KindRef<'a>>,
    /// The kind stood in its plural.
    pub(super) plural: bool,
    /// The kind stood after the name (`web deployment`).
    pub(super) kind_last: bool,
    pub(super) names: Vec<String>,
    pub(super) all: bool,
    /// A state before the kind: `failed jobs`.
    pub(super) state: Option<&'static str>,
    /// An adjective the grammar does not model: `the old pods`.
    pub(super) vague: Option<String>,
    /// `it`, `them`, `that deployment`.
    pub(super) pronoun: bool,
    /// `a`, `new`.
    pub(super) indefinite: bool,
    /// `pods of X`: X.
    pub(super) owner: Option<Box<Self>>,
    /// `the web app`: a word for any workload was used.
    pub(super) generic: bool,
}

impl Np<'_> {
    pub(super) fn kind_name(&self) -> Option<&str> {
        self.kind.as_ref().map(KindRef::name)
    }

    /// Only a kind, nothing that picks objects of it.
    pub(super) fn is_bare_kind(&self) -> bool {
        self.kind.is_some() && self.names.is_empty() && !self.pronoun && self.owner.is_none()
    }
}

/// A piece of one noun phrase.
enum El<'a> {
    Kind(KindRef<'a>, bool),
    Name(String),
    Slash(KindRef<'a>, String),
}

impl<'a> Parser<'a> {
    /// A list of noun phrases. Phrases of one kind come back as one.
    pub(super) fn noun_phrases(&mut self) -> Result<Vec<Np<'a>>, Ask> {
        let mut list: Vec<Np<'a>> = Vec::new();
        let Some(first) = self.noun_phrase()? else {
            return Ok(list);
        };
        list.push(first);
        loop {
            let from = self.pos;
            let comma = self.eat(&[","]);
            let joined = self.eat_phrase(JOINS) || comma;
            self.eat(&["also"]);
            // "web, namespace prod, ...": where it is, not a second object.
            let and_word = self
                .pos
                .checked_sub(1)
                .and_then(|at| self.toks.get(at))
                .is_some_and(|t| t.key != ",");
            let place = comma
                && !and_word
                && matches!(self.key(0), "namespace" | "ns")
                && (self.is_name(1) || self.is_quoted(1));
            if place
                || !joined
                || self.phrase(vocab::FILLERS).is_some()
                || self.clause_starts()
                || self.correction_ahead()
            {
                self.pos = from;
                break;
            }
            match self.noun_phrase()? {
                Some(next) if !next.pronoun => list.push(next),
                Some(_) | None => {
                    self.pos = from;
                    break;
                }
            }
        }
        Ok(merge(list))
    }

    /// One noun phrase, or nothing.
    pub(super) fn noun_phrase(&mut self) -> Result<Option<Np<'a>>, Ask> {
        let from = self.pos;
        let mut np = Np::default();
        self.determiners(&mut np);
        let its = self
            .pos
            .checked_sub(1)
            .and_then(|at| self.toks.get(at))
            .is_some_and(|t| matches!(t.key.as_str(), "its" | "their"));
        if np.pronoun && (its || self.kind_at(0).is_none()) {
            self.possessive(&mut np);
            return Ok(Some(np));
        }
        let elements = self.elements(&mut np);
        let any = !elements.is_empty();
        self.assemble(&mut np, elements)?;
        np.pronoun &= np.names.is_empty();
        if !any && !np.all && !np.pronoun && np.names.is_empty() {
            self.pos = from;
            return Ok(None);
        }
        if np.all && np.kind.is_none() && np.names.is_empty() && !np.generic && self.key(0) == "namespaces" {
            self.pos = from;
            return Ok(None);
        }
        self.possessive(&mut np);
        self.owner(&mut np)?;
        Ok(Some(np))
    }

    fn determiners(&mut self, np: &mut Np<'a>) {
        loop {
            let key = self.key(0);
            let state = vocab::state_at(|i| self.key(i)).filter(|(_, len)| self.kind_at(*len).is_some());
            if let Some((state, len)) = state {
                np.state = Some(state);
                self.pos += len;
                continue;
            }
            match key {
                "all" | "every" | "each" => {
                    np.all = true;
                    self.pos += 1;
                    self.eat(&["single"]);
                    self.eat(&["of"]);
                }
                "everything" => {
                    np.all = true;
                    self.pos += 1;
                    return;
                }
                // As it is mistyped most.
                "the" | "teh" | "hte" | "my" | "our" | "your" | "both" => self.pos += 1,
                "a" | "an" if super::words::number(|i| self.key(i)).is_none() => {
                    np.indefinite = true;
                    self.pos += 1;
                }
                "it" | "them" | "they" | "its" | "their" => {
                    np.pronoun = true;
                    self.pos += 1;
                    return;
                }
                "this" | "that" | "these" | "those" => {
                    np.pronoun = true;
                    self.pos += 1;
                    self.eat(&["one", "ones"]);
                    return;
                }
                "any" | "some" => {
                    np.vague = np.vague.take().or_else(|| Some(key.to_owned()));
                    self.pos += 1;
                }
                "new" => {
                    np.indefinite = true;
                    np.vague = Some(key.to_owned());
                    self.pos += 1;
                }
                _ if vocab::VAGUE.contains(&key) => {
                    np.vague = Some(key.to_owned());
                    self.pos += 1;
                }
                _ => return,
            }
        }
    }

    fn elements(&mut self, np: &mut Np<'a>) -> Vec<El<'a>> {
        let mut out: Vec<El<'a>> = Vec::new();
        while let Some(tok) = self.tok(0) {
            let after_kind = matches!(out.last(), Some(El::Kind(..)));
            let has_kind = out.iter().any(|e| matches!(e, El::Kind(..) | El::Slash(..)));
            if tok.shape == Shape::Quoted && !tok.text.contains('=') {
                out.push(El::Name(tok.text.clone()));
                self.pos += 1;
            } else if after_kind && self.eat_phrase(NAMED) {
                match self.name_in_place() {
                    Some(name) => out.push(El::Name(name)),
                    None => break,
                }
            } else if let Some((kind, name)) = self.slash() {
                out.push(El::Slash(kind, name));
            } else if let Some(found) = self.kind_at(0) {
                let pods_of = found.info.kind == "Pod" && found.plural;
                if has_kind && !pods_of {
                    break;
                }
                self.pos += found.len;
                out.push(El::Kind(KindRef::Known(found.info), found.plural));
            } else if after_kind && vocab::GENERIC.contains(&self.key(0)) {
                out.push(El::Name(tok.text.clone()));
                self.pos += 1;
            } else if vocab::GENERIC.contains(&self.key(0)) {
                np.generic = true;
                self.pos += 1;
                if out.is_empty() && !self.is_name(0) && !self.is_quoted(0) && !np.all {
                    out.push(El::Name(tok.text.clone()));
                }
            } else if self.element_name(after_kind, !out.is_empty()) {
                out.push(El::Name(tok.text.clone()));
                self.pos += 1;
            } else {
                break;
            }
        }
        out
    }

    /// Whether the word here is a name inside this phrase. Verbs are names only right after a kind.
    fn element_name(&self, after_kind: bool, continued: bool) -> bool {
        // "I want web restarted": the participle is no part of the name.
        if continued && self.verb_here(0, Form::Participle).is_some() {
            return false;
        }
        // "pods sorted by restarts", "service web port 80"
        let port = self.key(0) == "port" && super::words::number(|i| self.key(1 + i)).is_some();
        if continued && (port || self.phrase(MOST_RESTARTS).is_some()) {
            return false;
        }
        // `configmaps a, b and c`
        if after_kind && self.key(0) == "a" && matches!(self.key(1), "," | "and" | "" | "in" | "from" | "to")
        {
            return true;
        }
        if self.is_name(0) {
            return after_kind || self.verb_here(0, Form::Base).is_none();
        }
        let rbac_name =
            self.text(0).contains(':') && names::object_problem(self.text(0), Some("Role")).is_none();
        after_kind && rbac_name && !names::looks_like_image(self.text(0))
    }

    /// `deploy/nginx`.
    fn slash(&mut self) -> Option<(KindRef<'a>, String)> {
        let text = self.text(0);
        let (left, right) = text.split_once('/')?;
        let known = self.lex.exact(left).map(KindRef::Known);
        let written = || {
            (names::is_subdomain(left) && names::is_subdomain(right))
                .then(|| KindRef::Written(left.to_owned()))
        };
        let kind = known.or_else(written)?;
        if right.is_empty() || right.contains('/') {
            return None;
        }
        self.pos += 1;
        Some((kind, right.to_owned()))
    }

    fn assemble(&mut self, np: &mut Np<'a>, elements: Vec<El<'a>>) -> Result<(), Ask> {
        let mut pieces = elements.into_iter();
        match (pieces.next(), pieces.next(), pieces.next()) {
            (None, ..) => {}
            (Some(El::Kind(kind, plural)), None, _) => (np.kind, np.plural) = (Some(kind), plural),
            (Some(El::Slash(kind, name)), None, _) => (np.kind, np.names) = (Some(kind), vec![name]),
            (Some(El::Name(name)), None, _) => self.lone_name(np, name)?,
            (Some(El::Kind(kind, plural)), Some(El::Name(name)), None) => {
                (np.kind, np.plural, np.names) = (Some(kind), plural, vec![name]);
            }
            // `the web pods` are the pods of web.
            (Some(El::Name(name)), Some(El::Kind(kind, true)), None) if kind.name() == "Pod" => {
                let owner = Np {
                    names: vec![name],
                    ..Np::default()
                };
                (np.kind, np.plural, np.owner) = (Some(kind), true, Some(Box::new(owner)));
            }
            (Some(El::Name(name)), Some(El::Kind(kind, plural)), None) => {
                (np.kind, np.plural, np.names, np.kind_last) = (Some(kind), plural, vec![name], true);
            }
            (Some(El::Name(first)), Some(El::Name(second)), None) => self.two_names(np, first, second)?,
            (Some(El::Kind(kind, _)), Some(El::Name(name)), Some(El::Kind(pods, _))) => {
                let owner = Np {
                    kind: Some(kind),
                    names: vec![name],
                    ..Np::default()
                };
                (np.kind, np.plural, np.owner) = (Some(pods), true, Some(Box::new(owner)));
            }
            (Some(El::Name(name)), Some(El::Kind(kind, _)), Some(El::Kind(pods, _)))
            | (Some(El::Slash(kind, name)), Some(El::Kind(pods, _)), None) => {
                let owner = Np {
                    kind: Some(kind),
                    names: vec![name],
                    ..Np::default()
                };
                (np.kind, np.plural, np.owner) = (Some(pods), true, Some(Box::new(owner)));
            }
            (Some(El::Name(_) | El::Kind(..) | El::Slash(..)), ..) => return Err(self.several_words()),
        }
        Ok(())
    }

    fn several_words(&self) -> Ask {
        let from = self.pos.saturating_sub(3);
        let words: Vec<&str> = self
            .toks
            .iter()
            .take(self.pos)
            .skip(from)
            .map(|t| t.text.as_str())
            .collect();
        let text = names::shown(&words.join(" "));
        Ask::new(format!(
            "I cannot tell kind and name apart in {text}; write it as kind/name, for example deploy/web"
        ))
    }

    /// A name after `all` can only be a mistyped kind.
    fn lone_name(&mut self, np: &mut Np<'a>, name: String) -> Result<(), Ask> {
        if !np.all {
            np.names = vec![name];
            return Ok(());
        }
        self.pos -= 1;
        let found = self.mistyped_kind(0);
        self.pos += 1;
        match found {
            Some(found) => (np.kind, np.plural) = (Some(KindRef::Known(found.info)), true),
            None => {
                return Err(Ask::new(format!(
                    "I do not know the kind {}",
                    names::shown(&name)
                )));
            }
        }
        Ok(())
    }

    /// Two unknown words in a row: one of them may be a mistyped kind.
    fn two_names(&mut self, np: &mut Np<'a>, first: String, second: String) -> Result<(), Ask> {
        let shift = self.pos - 2;
        let here = std::mem::replace(&mut self.pos, shift);
        let (as_first, as_second) = (self.kind_typo(0), self.kind_typo(1));
        let found = match (as_first, as_second) {
            (true, false) => self.mistyped_kind(0).map(|k| (k, second, false)),
            (false, true) => self.mistyped_kind(1).map(|k| (k, first, true)),
            (true, true) | (false, false) => None,
        };
        self.pos = here;
        let Some((kind, name, last)) = found else {
            return Err(self.several_words());
        };
        (np.kind, np.plural, np.names, np.kind_last) =
            (Some(KindRef::Known(kind.info)), kind.plural, vec![name], last);
        Ok(())
    }

    fn kind_typo(&self, ahead: usize) -> bool {
        self.tok(ahead)
            .is_some_and(|t| t.shape == Shape::Word && super::typo::closest_kind(&t.key, self.lex).is_some())
    }

    /// `web's pods`, `web's deployment`; otherwise only the mark is taken (`web's logs`).
    fn possessive(&mut self, np: &mut Np<'a>) {
        let holds = np.pronoun || !np.names.is_empty() && self.eat(&["'s"]);
        if !holds {
            return;
        }
        let Some(found) = self.kind_at(0) else { return };
        let holder = std::mem::take(np);
        match found.info.kind.as_str() {
            "Pod" => {
                *np = Np {
                    kind: Some(KindRef::Known(found.info)),
                    plural: true,
                    owner: Some(Box::new(holder)),
                    ..Np::default()
                };
            }
            "Deployment" | "StatefulSet" | "DaemonSet" if holder.kind.is_none() => {
                *np = Np {
                    kind: Some(KindRef::Known(found.info)),
                    ..holder
                };
            }
            _ if holder.pronoun => {
                *np = Np {
                    kind: Some(KindRef::Known(found.info)),
                    ..holder
                }
            }
            _ => {
                *np = holder;
                return;
            }
        }
        self.pos += found.len;
    }

    /// `pods of web`, `the pods behind deployment web`.
    fn owner(&mut self, np: &mut Np<'a>) -> Result<(), Ask> {
        if np.kind_name() != Some("Pod") || !np.is_bare_kind() || self.in_owner {
            return Ok(());
        }
        let from = self.pos;
        let sure = self.eat_phrase(OWNED_BY);
        let maybe = !sure && self.eat(&["in", "from", "under"]);
        self.eat(&["the"]);
        let kind_next = self.kind_at(0).filter(|k| k.info.kind != "Namespace").is_some()
            || self.is_name(0) && self.kind_at(1).is_some_and(|k| k.info.kind != "Namespace")
            || self
                .text(0)
                .split_once('/')
                .is_some_and(|(l, _)| !matches!(l, "ns" | "namespace"));
        if sure || (maybe && kind_next) {
            self.in_owner = true;
            let owner = self.noun_phrase();
            self.in_owner = false;
            let owner = owner?;
            let usable =
                owner.filter(|o| (!o.names.is_empty() || o.pronoun) && o.kind_name() != Some("Namespace"));
            if let Some(owner) = usable {
                np.owner = Some(Box::new(owner));
                return Ok(());
            }
        }
        self.pos = from;
        Ok(())
    }
}

/// Joins phrases that share a kind: `deployments web and api`, `web and api deployments`, `deploy/a, deploy/b`.
fn merge(list: Vec<Np<'_>>) -> Vec<Np<'_>> {
    let shared_last = list.len() > 1
        && list.last().is_some_and(|l| l.kind_last && l.plural)
        && list.iter().rev().skip(1).all(|n| n.kind.is_none() && !n.all);
    let last_kind = list.last().and_then(|l| l.kind.clone()).filter(|_| shared_last);
    let mut out: Vec<Np<'_>> = Vec::new();
    for mut np in list {
        if np.kind.is_none() {
            np.kind.clone_from(&last_kind);
        }
        let joins = out.last().is_some_and(|prev| {
            let same = prev.kind_name() == np.kind_name();
            let inherits = np.kind.is_none() && prev.kind.is_some() && !prev.kind_last;
            let plain = |n: &Np<'_>| !n.names.is_empty() && n.owner.is_none() && !n.all && n.vague.is_none();
            plain(prev) && plain(&np) && (same || inherits)
        });
        match out.last_mut().filter(|_| joins) {
            Some(prev) => prev.names.append(&mut np.names),
            None => out.push(np),
        }
    }
    out
}
