//! Images, their tags, containers, and revisions to go back to.

use super::frame::{Frame, Revision, Slot, once};
use super::parser::Parser;
use super::tables::{BEFORE, REPLICA_NOUNS, REVISIONS, TO};
use super::vocab::{self, Noun, Verb};
use super::{Ask, names, words};

impl<'a> Parser<'a> {
    /// `to nginx:1.28`, `image nginx`, `version 1.28`, `to tag v2`.
    pub(super) fn image(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if !frame.can_image() {
            return Ok(false);
        }
        let from = self.pos;
        if self.key(0) == "from"
            && (names::looks_like_image(self.text(1)) || names::is_version(self.text(1)))
            && frame.image.is_none()
            && frame.version.is_none()
        {
            // The present image: the plan's difference shows it.
            self.pos += 2;
            return Ok(true);
        }
        let led = self.eat_phrase(TO) || self.eat(&["using", "from"]);
        self.eat(&["the", "a", "an", "new"]);
        if matches!(self.key(0), "latest" | "newest" | "newer")
            && (self.key(0) != "latest" || vocab::noun(self.key(1)).is_some())
        {
            return Err(Ask::new(
                "Versions are not looked up; say the image or its tag, for example 1.28",
            ));
        }
        let noun = vocab::noun(self.key(0)).filter(|n| matches!(n, Noun::Image | Noun::Version));
        self.pos += usize::from(noun.is_some());
        self.pos += usize::from(noun == Some(Noun::Image) && vocab::noun(self.key(0)) == Some(Noun::Version));
        self.eat(&[":", "="]);
        let Some(tok) = self.tok(0) else {
            self.pos = from;
            return Ok(false);
        };
        let text = tok.text.as_str();
        let object = text
            .split_once('/')
            .is_some_and(|(kind, _)| self.lex.exact(kind).is_some());
        let about = |noun_kind| noun == Some(noun_kind) || (led && frame.has(noun_kind));
        let word = (self.is_name(0) || self.is_quoted(0)) && self.kind_at(0).is_none();
        if (names::looks_like_image(text) && !object)
            || (word && led && about(Noun::Image) && names::is_image(text))
        {
            self.pos += 1;
            once(&mut frame.image, text.to_owned(), "the image")?;
        } else if self.is_tag_here(frame, led, about(Noun::Version)) {
            self.pos += 1;
            once(&mut frame.version, text.to_owned(), "the version")?;
        } else {
            self.pos = from;
            return Ok(false);
        }
        frame.nouns.extend(noun);
        self.eat(&["image", "version", "tag"]);
        frame.last = Slot::Image;
        Ok(true)
    }

    fn is_tag_here(&self, frame: &Frame<'_>, led: bool, said: bool) -> bool {
        let text = self.text(0);
        let number = words::number(|i| if i == 0 { self.key(0) } else { "" }).is_some();
        let replicas =
            REPLICA_NOUNS.contains(&self.key(1)) || matches!(self.key(1), "%" | "percent" | "more");
        let decimal_count = matches!(frame.verb, Verb::Bring | Verb::Want | Verb::Run | Verb::Give) && !said;
        if replicas || text.is_empty() {
            return false;
        }
        if said {
            let plain = names::is_tag(text)
                && !vocab::is_reserved(self.key(0))
                && !vocab::VAGUE.contains(&self.key(0));
            return plain || self.key(0) == "latest" && vocab::noun(self.key(1)).is_none();
        }
        let upgrade = frame.verb == Verb::Upgrade && number;
        // "deploy v2 of web": what is deployed is a version.
        let direct = frame.verb == Verb::Use && matches!(self.key(1), "of" | "for" | "to" | "on");
        (led || direct)
            && (upgrade || (names::is_version(text) && !decimal_count && vocab::noun(self.key(1)).is_none()))
    }

    /// `to the previous version`, `to revision 3`.
    pub(super) fn revision(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if frame.verb != Verb::Undo {
            return Ok(false);
        }
        if self.eat_phrase(&[
            "to the version before",
            "to the revision before",
            "one version back",
            "one revision back",
            "by one revision",
        ]) {
            frame.revision = frame.revision.or(Some(Revision::Previous));
            return Ok(true);
        }
        let from = self.pos;
        self.eat(&["to", "by"]);
        self.eat(&["the", "its", "a"]);
        let old = self.eat_phrase(BEFORE);
        if old && self.eat(REVISIONS) {
            frame.revision = frame.revision.or(Some(Revision::Previous));
            return Ok(true);
        }
        if !old && self.eat(&["revision", "rev", "version"]) {
            self.eat(&["number", "no", "#", ":", "="]);
            let number = self
                .number()
                .ok_or_else(|| Ask::new("A rollback goes to a revision number, such as 'revision 3'"))?;
            once(&mut frame.revision, Revision::Number(number), "the revision")?;
            return Ok(true);
        }
        self.pos = from;
        Ok(false)
    }

    pub(super) fn container(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let from = self.pos;
        self.eat(&["in", "of", "for", "from", "on"]);
        self.eat(&["the", "its"]);
        if self.eat(&["container"]) {
            self.eat(&["called", "named"]);
            if let Some(name) = self.name_in_place() {
                once(&mut frame.container, name, "the container")?;
                frame.last = Slot::Other;
                return Ok(true);
            }
        }
        self.pos = from;
        Ok(false)
    }
}
