//! Where and which: namespaces however named, label selectors, flags inside a sentence.

use super::flags::{self, Flag};
use super::frame::{Amount, Frame, Revision, Slot, once};
use super::parser::Parser;
use super::tables::{ALL_NAMESPACES, EVERY_LED, HERE, LACKING, SELECTED_BY};
use super::vocab::{self, Noun, Verb};
use super::{Ask, names};

const NAMESPACE: &[&str] = &["namespace", "ns", "namespaces"];

impl<'a> Parser<'a> {
    /// A flag as kubectl writes it.
    pub(super) fn flag(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let Some(tok) = self.tok(0).filter(|t| flags::is_flag(&t.text)) else {
            return Ok(false);
        };
        let (flag, used) = flags::read(&tok.text, self.tok(1).map(|t| t.text.as_str()))?;
        self.pos += 1 + usize::from(used);
        let misplaced = || Ask::new(format!("{} does not fit this request", names::shown(&tok.text)));
        match flag {
            Flag::Namespace(name) => frame.namespaces.push(name),
            Flag::AllNamespaces => frame.all_namespaces = true,
            Flag::Selector(text) => frame.selector.push(text),
            Flag::All => frame.targets.last_mut().ok_or_else(misplaced)?.all = true,
            Flag::Replicas(n) => once(&mut frame.amount, Amount::To(n), "the number of replicas")?,
            Flag::CurrentReplicas(n) => once(&mut frame.from, n, "the present replicas")?,
            Flag::ToRevision(n) => once(&mut frame.revision, Revision::Number(n), "the revision")?,
            Flag::Force => frame.force = true,
            Flag::GracePeriod(n) => once(&mut frame.grace, n, "the grace period")?,
            Flag::Tail(n) => once(&mut frame.tail, n, "the number of lines")?,
            Flag::Since(n) => once(&mut frame.since, n, "the time")?,
            Flag::Previous => frame.previous = true,
            Flag::Container(name) => once(&mut frame.container, name, "the container")?,
            Flag::DryRun(on) => frame.dry_run = on,
            Flag::Output(output) => once(&mut frame.output, output, "the output")?,
            Flag::IgnoreNotFound(on) => frame.ignore_not_found = on,
            Flag::Image(image) => once(&mut frame.image, image, "the image")?,
            Flag::Requests(_) | Flag::Limits(_) | Flag::Overwrite(_) | Flag::Named(..) => {
                return Err(misplaced());
            }
        }
        frame.last = Slot::Other;
        Ok(true)
    }

    /// A namespace, several, or all of them.
    pub(super) fn namespace(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if !(frame.targets.is_empty() && self.key(0) == "all") && self.eat_phrase(ALL_NAMESPACES) {
            frame.all_namespaces = true;
            frame.last = Slot::Namespace;
            return Ok(true);
        }
        if self.every_namespace() {
            frame.all_namespaces = true;
            frame.last = Slot::Namespace;
            return Ok(true);
        }
        if self.eat_phrase(HERE) {
            return Ok(true);
        }
        let after_comma = self
            .pos
            .checked_sub(1)
            .and_then(|at| self.toks.get(at))
            .is_some_and(|t| t.key == ",");
        if after_comma && self.namespace_word(0) && matches!(frame.verb, Verb::Delete | Verb::Drop) {
            return Err(Ask::new("Is the namespace where the object is, or to be deleted too? Say 'in namespace NAME' or 'and namespace NAME'").firm());
        }
        let Some(found) = self.attempt(|p| p.namespace_names(frame)) else {
            return Ok(false);
        };
        if let Some(bad) = found.iter().find(|n| !names::is_label(n)) {
            let lower = bad.to_lowercase();
            let candidates = if names::is_label(&lower) {
                vec![lower]
            } else {
                Vec::new()
            };
            let text = names::shown(bad);
            return Err(Ask::with(
                format!("{text} is not a valid namespace name: a-z, 0-9 and '-' only"),
                candidates,
            ));
        }
        frame.namespaces.extend(found);
        frame.last = Slot::Namespace;
        Ok(true)
    }

    /// `in every ns`, `across all of the namespaces`.
    fn every_namespace(&mut self) -> bool {
        self.attempt(|p| {
            let led = p.eat(EVERY_LED);
            let every = led && p.eat(&["all", "every", "any", "each"]);
            p.eat(&["of"]);
            p.eat(&["the", "my", "our"]);
            let word = every && p.namespace_word(0) && !p.is_name(1);
            p.pos += usize::from(word);
            word.then_some(())
        })
        .is_some()
    }

    fn namespace_names(&mut self, frame: &Frame<'_>) -> Option<Vec<String>> {
        let led_joined = matches!(self.key(0), "in" | "from" | "within")
            && self
                .text(1)
                .split_once('=')
                .is_some_and(|(l, r)| matches!(l, "namespace" | "ns") && !r.is_empty());
        self.pos += usize::from(led_joined);
        let joined = self
            .text(0)
            .split_once(['=', '/', ':'])
            .filter(|(l, r)| matches!(*l, "namespace" | "ns") && !r.is_empty());
        if let Some((_, name)) = joined {
            // `delete ns/prod` is about the namespace itself.
            let own_target = frame.targets.is_empty() && !frame.is_read() && self.text(0).contains('/');
            if own_target {
                return None;
            }
            self.pos += 1;
            return Some(vec![name.to_owned()]);
        }
        let preposition = self.key(0);
        let led = self.eat(&[
            "in", "from", "within", "inside", "under", "into", "of", "for", "on", "at", "across", "to",
        ]);
        self.eat(&["the", "my", "our", "both"]);
        if self.namespace_word(0) {
            let plain = led || !frame.targets.is_empty() || !frame.nouns.is_empty();
            // `describe the namespace prod` is about the namespace itself.
            let own_target = (matches!(preposition, "of" | "for" | "on" | "to")
                || preposition == "from" && frame.labelish())
                && frame.targets.is_empty()
                && !frame.is_read();
            return if plain && !own_target {
                self.named_after_word()
            } else {
                None
            };
        }
        if !led {
            return None;
        }
        self.named_before_word(frame, preposition)
    }

    fn namespace_word(&self, ahead: usize) -> bool {
        NAMESPACE.contains(&self.key(ahead)) || super::typo::is_near(self.key(ahead), &["namespace"])
    }

    /// `in namespace prod`, `in namespaces a and b`.
    fn named_after_word(&mut self) -> Option<Vec<String>> {
        self.pos += 1;
        self.eat(&["called", "named", ":", "=", "of"]);
        let mut list = vec![self.namespace_name(true)?];
        let after_first = self.pos;
        self.more_names(&mut list);
        if !self.list_ends(0) {
            list.truncate(1);
            self.pos = after_first;
        }
        Some(list)
    }

    /// `in prod`, `in the prod namespace`, for reads also `in a and b`.
    fn named_before_word(&mut self, frame: &Frame<'_>, preposition: &str) -> Option<Vec<String>> {
        // A namespace may be called as a kind is: `restart web in jobs`.
        let named =
            matches!(preposition, "in" | "from") && frame.targets.iter().any(|np| !np.names.is_empty());
        if named && self.kind_at(0).is_some_and(|k| k.len == 1 && k.plural) && self.list_ends(1) {
            let name = self.text(0).to_owned();
            self.pos += 1;
            return Some(vec![name]);
        }
        let mut list = vec![self.namespace_name(false)?];
        let after_first = self.pos;
        self.more_names(&mut list);
        let read_list = frame.targets.iter().all(|np| np.names.is_empty()) && self.list_ends(0);
        if list.len() > 1 && !(read_list || self.namespace_word(0)) {
            list.truncate(1);
            self.pos = after_first;
        }
        if self.namespace_word(0) {
            self.pos += 1;
            return Some(list);
        }
        let about_target = matches!(preposition, "of" | "for" | "on" | "at" | "across" | "to" | "into");
        let target_wanted = frame.targets.is_empty() && self.target_by(frame, preposition);
        if about_target || target_wanted || self.kind_at(0).is_some() || self.key(0) == "'s" {
            return None;
        }
        (self.list_ends(0) || !self.is_name(0)).then_some(list)
    }

    /// `, b and c` after a first name.
    fn more_names(&mut self, list: &mut Vec<String>) {
        loop {
            let from = self.pos;
            let comma = self.eat(&[","]);
            let joined = self.eat(&["and", "&"]) || comma;
            self.eat(&["the"]);
            let name = joined && !self.clause_starts() && self.is_name(0) && self.kind_at(0).is_none();
            match self.tok(0).filter(|_| name) {
                Some(tok) => list.push(tok.text.clone()),
                None => {
                    self.pos = from;
                    return;
                }
            }
            self.pos += 1;
        }
    }

    /// Whether "from X" / "in X" names the object rather than the namespace.
    fn target_by(&self, frame: &Frame<'_>, preposition: &str) -> bool {
        let logs = frame.verb == Verb::Logs || frame.has(Noun::Logs);
        let valued = frame.container.is_some()
            || frame.amount.is_some()
            || frame.image.is_some()
            || frame.version.is_some();
        let labels = frame.labelish() || (valued && !frame.is_read());
        (logs && preposition == "from") || (labels && matches!(preposition, "from" | "in"))
    }

    /// Whether nothing that would make the word before part of a longer phrase follows.
    fn list_ends(&self, ahead: usize) -> bool {
        let key = self.key(ahead);
        key.is_empty() && !self.is_quoted(ahead)
            || matches!(
                key,
                "," | ";" | "." | "?" | "!" | "\n" | "and" | "—" | "namespace" | "namespaces" | "ns"
            )
            || vocab::FILLERS.contains(&key)
            || flags::is_flag(key)
    }

    /// One name of a namespace. Adjectives and states are names here: `in production`, `in staging`.
    fn namespace_name(&mut self, sure: bool) -> Option<String> {
        let tok = self.tok(0)?;
        let fits = if self.is_quoted(0) {
            true
        } else {
            let vague = matches!(self.key(0), "production" | "main" | "default" | "new" | "old");
            (self.is_name(0) || vague) && (sure || self.kind_at(0).is_none())
        };
        if !fits {
            return None;
        }
        self.pos += 1;
        Some(tok.text.clone())
    }

    /// Label selectors: `-l` is a flag; here the words for it.
    pub(super) fn selector(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let labels_here =
            frame.labelish() && frame.assigns.is_empty() && frame.removes.is_empty() && frame.key.is_none();
        let from = self.pos;
        let lacking = frame.is_read() && self.eat_phrase(LACKING);
        if lacking {
            let key = self
                .tok(0)
                .filter(|t| names::is_key(&t.text) && !vocab::is_reserved(&t.key));
            let Some(key) = key else {
                self.pos = from;
                return Ok(false);
            };
            self.pos += 1;
            frame.selector.push(format!("!{}", key.text));
            frame.last = Slot::Other;
            return Ok(true);
        }
        let led = self.eat_phrase(SELECTED_BY);
        let prepositioned =
            matches!(self.key(0), "for" | "of" | "from" | "on") && self.text(1).contains('=') && !led;
        self.pos += usize::from(prepositioned);
        let only_with = led && (self.pos == from + 1) && self.toks.get(from).is_some_and(|t| t.key == "with");
        let label_word = led
            && self
                .toks
                .get(self.pos - 1)
                .is_some_and(|t| vocab::noun(&t.key) == Some(Noun::Label));
        if labels_here
            && (!led || only_with || (label_word && !frame.targets.is_empty() && frame.verb != Verb::Label))
        {
            self.pos = from;
            return Ok(false);
        }
        if led {
            self.eat(&[":", "of", "as"]);
        }
        let mut found: Vec<String> = Vec::new();
        while let Some(requirement) = self.requirement(led, frame.is_read()) {
            found.push(requirement);
            let join = self.pos;
            let joined = self.eat(&[",", "and", "&"]);
            self.eat_phrase(&["labelled", "labeled", "label", "with", "with label"]);
            if !joined || !(self.text(0).contains('=') || led && self.key(1) == "=") {
                self.pos = join;
                break;
            }
        }
        if found.is_empty() && label_word && self.bare_key() {
            found.push(self.text(0).to_owned());
            self.pos += 1;
        }
        if found.is_empty() {
            self.pos = from;
            return Ok(false);
        }
        frame.selector.append(&mut found);
        frame.last = Slot::Other;
        Ok(true)
    }

    /// A label's key with nothing after it that could be its value.
    fn bare_key(&self) -> bool {
        names::is_key(self.text(0)) && !vocab::is_reserved(self.key(0)) && self.list_ends(1)
            || (names::is_key(self.text(0)) && self.key(1) == "in" && !vocab::is_reserved(self.key(0)))
    }

    /// `tier=cache`, after an introduction also `tier = cache`, `tier is cache`, `tier in (a, b)`; in a read `tier is not a`.
    fn requirement(&mut self, led: bool, read: bool) -> Option<String> {
        let tok = self.tok(0)?;
        if tok.text.contains('=') && !flags::is_flag(&tok.text) {
            let fits = tok.text.split(',').all(|part| names::requirement(part).is_some());
            self.pos += usize::from(fits);
            return fits.then(|| tok.text.clone());
        }
        let key = self.text(0);
        if !led || !names::is_key(key) {
            return None;
        }
        if let Some(values) = self.one_of() {
            return Some(format!("{key} in ({})", values.join(",")));
        }
        let from = self.pos;
        self.pos += 1;
        // "whose app label is web"
        self.eat(&["label"]);
        let unlike = self.eat_phrase(&["!=", "is not", "isn't", "not equal to", "is anything but"]);
        let like = !unlike
            && self.eat_phrase(&[
                "=",
                "==",
                ":",
                "is",
                "equals",
                "set to",
                "is set to",
                "equal to",
                "is equal to",
            ]);
        let value = self.tok(0).filter(|t| {
            let word = t.shape == super::token::Shape::Quoted || !FUNCTION_WORDS.contains(&t.key.as_str());
            word && names::is_label_value(&t.text) && !t.text.is_empty()
        });
        let said = like || (unlike && (read || self.toks.get(from + 1).is_some_and(|t| t.key == "!=")));
        let Some(value) = value.filter(|_| said) else {
            self.pos = from;
            return None;
        };
        self.pos += 1;
        let sign = if unlike { "!=" } else { "=" };
        Some(format!("{key}{sign}{}", value.text))
    }

    /// `tier in (a, b)` after a key: its values.
    fn one_of(&mut self) -> Option<Vec<String>> {
        self.attempt(|p| {
            p.pos += 1;
            if !(p.eat(&["in"]) && p.eat(&["("])) {
                return None;
            }
            let mut values = vec![];
            loop {
                let value = p.text(0).to_owned();
                p.pos += 1;
                if !names::is_label_value(&value) || value.is_empty() {
                    return None;
                }
                values.push(value);
                if p.eat(&[")"]) {
                    return Some(values);
                }
                if !p.eat(&[","]) {
                    return None;
                }
            }
        })
    }
}

/// Words that are no value of a label where they stand unquoted.
const FUNCTION_WORDS: &[&str] = &["not", "in", "notin", "one", "either", "set", "equal"];
