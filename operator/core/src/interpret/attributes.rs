//! What else a clause says: amounts, resources, images, labels, times, states, particles. One small parser each.

use super::frame::{Amount, Frame, Particle, Res, Revision, Slot, once};
use super::parser::Parser;
use super::vocab::{self, Noun, Verb};
use super::words::{self, Measure};
use super::{Ask, flags, names, typo};

const REPLICA_NOUNS: &[&str] = &["replicas", "replica", "instances", "instance", "copies", "copy", "pods", "pod"];
const TO: &[&str] = &["to", "at", "with", "=", ":", "to be", "to have", "to run", "to use", "have", "has", "run", "use", "running", "should be", "must be", "needs to be", "has to be", "at exactly", "to a total of", "onto", "on"];

impl<'a> Parser<'a> {
    /// Takes one phrase that is not the objects themselves.
    pub(super) fn attribute(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        Ok(self.flag(frame)?
            || self.time(frame)?
            || self.output(frame)?
            || self.particle(frame)?
            || self.state(frame)?
            || self.label_words(frame)?
            || self.namespace(frame)?
            || self.keyed(frame)?
            || self.selector(frame)?
            || self.revision(frame)?
            || self.resource(frame)?
            || self.image(frame)?
            || self.amount(frame)?
            || self.container(frame)?
            || self.noun(frame)
            || self.read_filler(frame))
    }

    /// How far back: `last 10 minutes`, `since an hour ago`; how much: `last 50 lines`.
    fn time(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if !frame.is_read() {
            return self.grace(frame);
        }
        let from = self.pos;
        let since = self.eat(&["since"]);
        let led = self.eat(&["in", "for", "from", "over", "during", "within", "of", "with", "only"]);
        self.eat(&["the"]);
        let back = self.eat_phrase(&["last", "past", "previous", "latest", "most recent", "final", "recent"]);
        if let Some(seconds) = self.attempt(|p| p.duration()).filter(|_| since || back) {
            self.eat(&["ago"]);
            frame.last = Slot::Other;
            once(&mut frame.since, seconds, "the time")?;
            return Ok(true);
        }
        let logs = frame.verb == Verb::Logs || frame.has(Noun::Logs);
        let number = self.attempt(Self::number);
        let log_lines = self.phrase(&["log lines", "log entries"]).is_some();
        let lines = self.eat_phrase(&["lines", "line", "log lines", "lines of", "log lines of", "rows", "log entries", "entries"]);
        let logs_next = vocab::noun(self.key(0)) == Some(Noun::Logs);
        if let Some(n) = number.filter(|_| lines || (logs && (back || !led)) || (back && logs_next)) {
            frame.last = Slot::Other;
            if !(1..=10_000).contains(&n) {
                return Err(Ask::new("Logs can be read 1 to 10000 lines at a time"));
            }
            once(&mut frame.tail, n, "the number of lines")?;
            if lines && (log_lines || !logs) {
                frame.nouns.push(Noun::Logs);
            }
            return Ok(true);
        }
        self.pos = from;
        let previous = self.eat_phrase(&[
            "from the previous run", "of the previous run", "from the previous container", "of the previous container", "previous container",
            "from before the restart", "from the last run", "from the previous instance", "from before it crashed", "of the last run",
            "before the restart", "from the last crash", "before it crashed", "from the crashed container",
        ]);
        frame.previous |= previous;
        Ok(previous)
    }

    /// `with a grace period of 30 seconds`, `by force`.
    fn grace(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if self.eat_phrase(&["with force", "by force", "forcefully", "forcibly"]) {
            frame.force = true;
            return Ok(true);
        }
        let from = self.pos;
        self.eat(&["with", "using"]);
        self.eat(&["a", "an", "the"]);
        if self.eat_phrase(&["grace period of", "grace period"])
            && let Some(seconds) = self.attempt(|p| p.duration()).or_else(|| self.attempt(|p| p.number().filter(|_| p.eat(&["seconds", "s"]))))
        {
            once(&mut frame.grace, seconds, "the grace period")?;
            return Ok(true);
        }
        self.pos = from;
        Ok(false)
    }

    /// `as yaml`, `in wide format`.
    fn output(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let from = self.pos;
        self.eat(&["the"]);
        if let Some(form) = flags::output(self.key(0)).filter(|_| frame.is_read() && matches!(self.key(1), "of" | "for")) {
            self.pos += 1;
            once(&mut frame.output, form, "the output")?;
            return Ok(true);
        }
        self.pos = from;
        let led = frame.is_read() && self.eat(&["as", "in"]);
        self.eat(&["a", "an"]);
        if let Some(form) = flags::output(self.key(0)).filter(|_| led && self.key(0) != "name") {
            self.pos += 1;
            self.eat(&["format", "form"]);
            once(&mut frame.output, form, "the output")?;
            return Ok(true);
        }
        self.pos = from;
        Ok(false)
    }

    /// `that are failing`, `in pending state`, `with status Running`.
    fn state(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let from = self.pos;
        if matches!(frame.verb, Verb::Want | Verb::Run) && self.eat_phrase(&["up and running", "running", "up"]) {
            return Ok(frame.amount.is_some());
        }
        self.eat(&["that", "which", "who"]);
        self.eat(&["are", "is", "aren't", "isn't"]);
        let negated = self.pos.checked_sub(1).and_then(|at| self.toks.get(at)).is_some_and(|t| t.key.ends_with("n't"));
        self.eat(&["currently", "still"]);
        self.eat_phrase(&["with status", "with state", "with the status", "whose status is", "in state", "in phase", "in a", "in the", "in"]);
        let found = vocab::state_at(|i| if negated { if i == 0 { "not" } else { self.key(i - 1) } } else { self.key(i) });
        let Some((state, len)) = found else {
            self.pos = from;
            return Ok(false);
        };
        self.pos += len - usize::from(negated);
        self.eat(&["state", "status", "phase", "mode"]);
        frame.last = Slot::Other;
        once(&mut frame.state, state, "the state")?;
        Ok(true)
    }

    fn particle(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if frame.is_read() {
            return Ok(false);
        }
        if matches!(frame.verb, Verb::Set)
            && self.eat_phrase(&["as unschedulable", "unschedulable", "to unschedulable", "as not schedulable", "not schedulable"])
        {
            frame.schedulable = Some(false);
            return Ok(true);
        }
        if matches!(frame.verb, Verb::Set) && self.eat_phrase(&["as schedulable", "schedulable", "to schedulable"]) {
            frame.schedulable = Some(true);
            return Ok(true);
        }
        let table: &[(Particle, &[&str])] = &[
            (Particle::OutOfRotation, &["out of rotation", "out of service", "out of the rotation", "out of scheduling", "out of the pool"]),
            (
                Particle::BackInRotation,
                &[
                    "back in rotation", "back into rotation", "back in the rotation", "back into the rotation", "back in service",
                    "back into service", "back into the pool", "into rotation", "in rotation", "back in to rotation",
                ],
            ),
            (Particle::Up, &["up", "back up", "out"]),
            (Particle::Down, &["down", "back down"]),
            (Particle::Back, &["back"]),
        ];
        for (particle, phrases) in table {
            if self.eat_phrase(phrases) {
                once(&mut frame.particle, *particle, "a direction")?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `replicas=5`, `image=nginx:1.28`, `memory=1Gi`, `limits.cpu=500m`.
    fn keyed(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let Some((key, value)) = self.text(0).split_once(['=', ':']).filter(|(k, v)| !k.is_empty() && !v.is_empty()) else {
            return Ok(false);
        };
        if frame.labelish() {
            return Ok(false);
        }
        if value.contains('=') && frame.can_resource() && self.keyed_list(frame) {
            self.pos += 1;
            return Ok(true);
        }
        let number = || words::number(|i| if i == 0 { value } else { "" }).map(|(n, _)| n);
        match key.to_lowercase().as_str() {
            "replicas" if frame.can_scale() => {
                let n = number().ok_or_else(|| self.unclear())?;
                once(&mut frame.amount, Amount::To(n), "the number of replicas")?;
                frame.last = Slot::Amount;
            }
            "image" if frame.can_image() && names::is_image(value) => once(&mut frame.image, value.to_owned(), "the image")?,
            path @ ("cpu" | "memory" | "limits.cpu" | "limits.memory" | "requests.cpu" | "requests.memory")
                if frame.can_resource() =>
            {
                let (quantity, _) = words::quantity(|_| "", |i| if i == 0 { value } else { "" }).ok_or_else(|| self.unclear())?;
                if path.starts_with("limits") {
                    frame.resources.push(Res::Limit);
                } else if path.starts_with("requests") {
                    frame.resources.push(Res::Request);
                }
                frame.resources.push(if path.ends_with("cpu") { Res::Cpu } else { Res::Memory });
                frame.resources.push(Res::Value(quantity));
            }
            _ if frame.can_image() && names::is_label(key) && names::looks_like_image(value) && self.text(0).contains('=') => {
                once(&mut frame.container, key.to_owned(), "the container")?;
                once(&mut frame.image, value.to_owned(), "the image")?;
            }
            _ => return Ok(false),
        }
        self.pos += 1;
        Ok(true)
    }

    /// `cpu=100m,memory=128Mi`.
    fn keyed_list(&self, frame: &mut Frame<'a>) -> bool {
        let mut found = Vec::new();
        for part in self.text(0).split(',') {
            let Some((key, value)) = part.split_once('=') else { return false };
            let what = match key {
                "cpu" => Res::Cpu,
                "memory" => Res::Memory,
                _ => return false,
            };
            let Some((quantity, _)) = words::quantity(|_| "", |i| if i == 0 { value } else { "" }) else { return false };
            found.extend([what, Res::Value(quantity)]);
        }
        frame.resources.extend(found);
        true
    }

    /// Words and values of CPU and memory, in any order.
    fn resource(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if !frame.can_resource() {
            return Ok(false);
        }
        let from = self.pos;
        self.eat(&["of", "a", "an", "the", "with", "in", "its", "to", "at", "as"]);
        self.eat(&["a", "an", "the"]);
        let word = match vocab::noun(self.key(0)) {
            Some(Noun::Cpu) => Some(Res::Cpu),
            Some(Noun::Memory) => Some(Res::Memory),
            Some(Noun::Limit) => Some(Res::Limit),
            Some(Noun::Request) => Some(Res::Request),
            Some(Noun::Resources) => None,
            _ => {
                self.pos = from;
                return self.resource_value(frame);
            }
        };
        self.pos += 1;
        frame.resources.extend(word);
        frame.nouns.push(Noun::Resources);
        frame.last = Slot::Resource;
        Ok(true)
    }

    fn resource_value(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let from = self.pos;
        let by = self.eat(&["by"]);
        let _ = by || self.eat_phrase(TO) || self.eat_phrase(&["of", "to at most", "to a maximum of", "a maximum of", "of at most", "to no more than", "at most"]);
        let number_text = |i: usize| self.tok(i).map_or("", |t| t.text.as_str());
        let Some((quantity, len)) = words::quantity(|i| self.key(i), number_text) else {
            self.pos = from;
            return Ok(false);
        };
        let about_resources = frame.resources.iter().any(|r| matches!(r, Res::Cpu | Res::Memory | Res::Limit | Res::Request));
        let counts = REPLICA_NOUNS.contains(&self.key(len)) || self.key(len) == "%";
        let next = vocab::noun(self.key(len));
        let named = matches!(next, Some(Noun::Cpu | Noun::Memory));
        let measured = matches!(quantity.measure, Measure::Cpu | Measure::Memory | Measure::Milli);
        if counts || !(measured || about_resources || named) {
            self.pos = from;
            return Ok(false);
        }
        self.pos += len;
        frame.resources.push(Res::Value(quantity));
        frame.relative |= by || matches!(self.key(0), "more" | "less" | "extra" | "additional");
        if frame.relative {
            self.eat(&["more", "less", "extra", "additional"]);
        }
        frame.last = Slot::Resource;
        Ok(true)
    }

    /// `to nginx:1.28`, `image nginx`, `version 1.28`, `to tag v2`.
    fn image(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if !frame.can_image() {
            return Ok(false);
        }
        let from = self.pos;
        if self.key(0) == "from" && (names::looks_like_image(self.text(1)) || names::is_version(self.text(1))) && frame.image.is_none() && frame.version.is_none() {
            // The present image: the plan's difference shows it.
            self.pos += 2;
            return Ok(true);
        }
        let led = self.eat_phrase(TO) || self.eat(&["using", "from"]);
        self.eat(&["the", "a", "an", "new"]);
        if matches!(self.key(0), "latest" | "newest" | "newer") && (self.key(0) != "latest" || vocab::noun(self.key(1)).is_some()) {
            return Err(Ask::new("Versions are not looked up; say the image or its tag, for example 1.28"));
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
        let object = text.split_once('/').is_some_and(|(kind, _)| self.lex.exact(kind).is_some());
        let about = |noun_kind| noun == Some(noun_kind) || (led && frame.has(noun_kind));
        let word = (self.is_name(0) || self.is_quoted(0)) && self.kind_at(0).is_none();
        if (names::looks_like_image(text) && !object) || (word && led && about(Noun::Image) && names::is_image(text)) {
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
        let replicas = REPLICA_NOUNS.contains(&self.key(1)) || matches!(self.key(1), "%" | "percent" | "more");
        let decimal_count = matches!(frame.verb, Verb::Bring | Verb::Want | Verb::Run | Verb::Give) && !said;
        if replicas || text.is_empty() {
            return false;
        }
        if said {
            let plain = names::is_tag(text) && !vocab::is_reserved(self.key(0)) && !vocab::VAGUE.contains(&self.key(0));
            return plain || self.key(0) == "latest" && vocab::noun(self.key(1)).is_none();
        }
        let upgrade = frame.verb == Verb::Upgrade && number;
        led && (upgrade || (names::is_version(text) && !decimal_count && vocab::noun(self.key(1)).is_none()))
    }

    /// `to the previous version`, `to revision 3`.
    fn revision(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if frame.verb != Verb::Undo {
            return Ok(false);
        }
        let from = self.pos;
        self.eat(&["to", "by"]);
        self.eat(&["the", "its", "a"]);
        let things: &[&str] = &["version", "revision", "release", "rollout", "deployment", "image", "update", "state", "one", "rev", "deploy", "change", "upgrade"];
        let old = self.eat_phrase(&["previous", "last", "prior", "earlier", "old", "former", "most recent", "latest", "one"]);
        if old && self.eat(things) {
            frame.revision = frame.revision.or(Some(Revision::Previous));
            return Ok(true);
        }
        if !old && self.eat(&["revision", "rev", "version"]) {
            self.eat(&["number", "no", "#", ":", "="]);
            let number = self.number().ok_or_else(|| Ask::new("A rollback goes to a revision number, such as 'revision 3'"))?;
            once(&mut frame.revision, Revision::Number(number), "the revision")?;
            return Ok(true);
        }
        self.pos = from;
        Ok(false)
    }

    fn container(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
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

    /// A word for what the clause is about.
    fn noun(&mut self, frame: &mut Frame<'a>) -> bool {
        let from = self.pos;
        let adjectives: &[&str] = &[
            "of", "for", "on", "with", "the", "a", "an", "all", "any", "full", "complete", "entire", "recent", "latest", "current", "last", "me",
            "more", "some", "number", "count", "about", "what", "rolling", "ongoing", "pod", "container", "as", "new", "previous", "most", "us", "in",
        ];
        if frame.can_scale() && self.eat_phrase(&["the number of", "number of", "the count of", "the amount of"]) {
            frame.nouns.push(Noun::Replicas);
            return true;
        }
        let mut previous = false;
        while vocab::noun(self.key(0)).is_none() && adjectives.contains(&self.key(0)) {
            previous |= self.key(0) == "previous";
            self.pos += 1;
        }
        let Some(noun) = vocab::noun(self.key(0)) else {
            let near = frame.can_scale() && typo::is_near(self.key(0), &["replicas", "replica", "instances"]);
            self.pos = if near { self.pos } else { from };
            return near && self.corrected(frame, "replicas", Noun::Replicas);
        };
        self.pos += 1;
        if noun == Noun::Replicas {
            self.eat(&["count"]);
        }
        frame.previous |= previous && matches!(noun, Noun::Logs | Noun::Container);
        frame.nouns.push(noun);
        true
    }

    pub(super) fn corrected(&mut self, frame: &mut Frame<'a>, read: &str, noun: Noun) -> bool {
        self.typos.push((self.text(0).to_owned(), read.to_owned()));
        self.pos += 1;
        frame.nouns.push(noun);
        true
    }

    /// Words that carry nothing in a question.
    fn read_filler(&mut self, frame: &mut Frame<'_>) -> bool {
        if !frame.is_read() {
            return false;
        }
        let rollout: &[&str] = &[
            "rolled out", "rolling out", "finished rolling out", "finish rolling out", "deploying", "finished deploying", "done rolling out", "done deploying", "fully rolled out", "roll out", "roll out successfully", "rolled out successfully", "roll out ok", "deploy successfully",
        ];
        if self.eat_phrase(rollout) {
            frame.nouns.push(Noun::Rollout);
            return true;
        }
        let plain: &[&str] = &[
            "are", "is", "there", "do", "does", "did", "has", "have", "had", "we", "i", "you", "that", "which", "what", "currently", "exist", "exists", "existing",
            "got", "can", "see", "me", "us", "live", "in total", "total", "altogether", "deployed", "defined", "available", "configured", "look like",
            "a list of", "the list of", "list of", "an overview of", "overview of", "together with", "does it have", "do i", "know", "the", "all of",
            "right now", "at present", "still", "yet", "already", "so far", "any", "of", "it has", "going on with", "going on", "happening", "been", "was", "were",
            "use", "uses", "using", "run", "runs", "belong", "belongs", "set", "to", "at", "around", "now", "at all", "the number of", "number of", "with", "how", "lately", "recently", "said", "say", "saying", "write", "writing", "wrote",
        ];
        let asked: &[&str] = &[
            "doing", "ok", "okay", "fine", "alive", "up", "down", "well", "done", "complete", "progressing", "out", "good", "all right",
            "online", "finished", "finish", "through", "over", "successful", "succeed", "stuck", "look", "looking",
        ];
        self.eat_phrase(plain) || (matches!(frame.verb, Verb::Ask | Verb::Show | Verb::RolloutStatus) && self.eat_phrase(asked))
    }
}
