//! What else a clause says: amounts, resources, images, labels, times, states, particles. One small parser each.

use kubechat_crds::intent::SortBy;

use super::frame::{Frame, Particle, Slot, once};
use super::parser::Parser;
use super::tables::{
    BACK, BEFORE_NOUN, LINES, MOST_RESTARTS, PREVIOUS_RUN, QUESTION_STATES, QUESTION_WORDS, ROLLS_OUT,
    STATE_LED,
};
use super::vocab::{self, Noun, Verb};
use super::{Ask, flags, typo};

/// Words by which objects are picked, before what they have.
const PICKS: &[&str] = &[
    "with", "using", "running", "uses", "use", "run", "runs", "have", "having", "has", "by", "on",
];

impl<'a> Parser<'a> {
    /// Takes one phrase that is not the objects themselves.
    pub(super) fn attribute(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        Ok(self.flag(frame)?
            || self.time(frame)?
            || self.output(frame)?
            || self.particle(frame)?
            || self.most(frame)?
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
            || self.noun(frame)?
            || self.read_filler(frame))
    }

    /// How far back: `last 10 minutes`, `since an hour ago`; how much: `last 50 lines`.
    fn time(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if !frame.is_read() {
            return self.grace(frame);
        }
        let from = self.pos;
        let since = self.eat(&["since"]);
        let led = self.eat(&[
            "in", "for", "from", "over", "during", "within", "of", "with", "only",
        ]);
        self.eat(&["the"]);
        let back = self.eat_phrase(BACK);
        if let Some(seconds) = self
            .attempt(super::parser::Parser::duration)
            .filter(|_| since || back)
        {
            self.eat(&["ago"]);
            frame.last = Slot::Other;
            once(&mut frame.since, seconds, "the time")?;
            return Ok(true);
        }
        let logs = frame.verb == Verb::Logs || frame.has(Noun::Logs);
        let number = self.attempt(Self::number);
        let log_lines = self.phrase(&["log lines", "log entries"]).is_some();
        let lines = self.eat_phrase(LINES);
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
        let previous = self.eat_phrase(PREVIOUS_RUN);
        frame.previous |= previous;
        Ok(previous)
    }

    /// `with a grace period of 30 seconds`, `by force`.
    pub(super) fn grace(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if self.eat_phrase(&["with force", "by force", "forcefully", "forcibly"]) {
            frame.force = true;
            return Ok(true);
        }
        let from = self.pos;
        self.eat(&["with", "using"]);
        self.eat(&["a", "an", "the"]);
        if self.eat_phrase(&["grace period of", "grace period"])
            && let Some(seconds) = self
                .attempt(super::parser::Parser::duration)
                .or_else(|| self.attempt(|p| p.number().filter(|_| p.eat(&["seconds", "s"]))))
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
        if let Some(form) =
            flags::output(self.key(0)).filter(|_| frame.is_read() && matches!(self.key(1), "of" | "for"))
        {
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

    /// `restarted most`, `with the most restarts`: which rows come first.
    fn most(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let said = frame.is_read()
            && (self.eat_phrase(MOST_RESTARTS) || self.attempt(Self::restarts_most).is_some());
        if !said {
            return Ok(false);
        }
        frame.last = Slot::Other;
        once(&mut frame.sort, SortBy::Restarts, "the order")?;
        Ok(true)
    }

    /// `that have been restarting the most often`: a restart in any tense, and "most".
    fn restarts_most(&mut self) -> Option<()> {
        let before: &[&str] = &[
            "that", "which", "have", "has", "had", "been", "are", "is", "were", "was", "did", "do", "keep",
            "keeps", "kept",
        ];
        while self.eat(before) {}
        let restarts: &[&str] = &[
            "restart",
            "restarts",
            "restarted",
            "restarting",
            "crash",
            "crashes",
            "crashed",
            "crashing",
        ];
        let verb = self.eat(restarts);
        self.eat(&["the"]);
        let most = verb && self.eat(&["most"]);
        self.eat(&["often", "frequently"]);
        most.then_some(())
    }

    /// `that are failing`, `in pending state`, `with status Running`.
    fn state(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let from = self.pos;
        if matches!(frame.verb, Verb::Want | Verb::Run)
            && self.eat_phrase(&["up and running", "running", "up"])
        {
            return Ok(frame.amount.is_some());
        }
        self.eat(&["that", "which", "who"]);
        self.eat(&["are", "is", "aren't", "isn't"]);
        let negated = self
            .pos
            .checked_sub(1)
            .and_then(|at| self.toks.get(at))
            .is_some_and(|t| t.key.ends_with("n't"));
        self.eat(&["currently", "still", "keep", "keeps", "kept", "stay", "remain"]);
        self.eat(&["stuck", "hanging"]);
        self.eat_phrase(STATE_LED);
        let found = vocab::state_at(|i| {
            if negated {
                if i == 0 { "not" } else { self.key(i - 1) }
            } else {
                self.key(i)
            }
        });
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
            && self.eat_phrase(&[
                "as unschedulable",
                "unschedulable",
                "to unschedulable",
                "as not schedulable",
                "not schedulable",
            ])
        {
            frame.schedulable = Some(false);
            return Ok(true);
        }
        if matches!(frame.verb, Verb::Set)
            && self.eat_phrase(&["as schedulable", "schedulable", "to schedulable"])
        {
            frame.schedulable = Some(true);
            return Ok(true);
        }
        let table: &[(Particle, &[&str])] = &[
            (
                Particle::OutOfRotation,
                &[
                    "out of rotation",
                    "out of service",
                    "out of the rotation",
                    "out of scheduling",
                    "out of the pool",
                ],
            ),
            (
                Particle::BackInRotation,
                &[
                    "back in rotation",
                    "back into rotation",
                    "back in the rotation",
                    "back into the rotation",
                    "back in service",
                    "back into service",
                    "back into the pool",
                    "into rotation",
                    "in rotation",
                    "back in to rotation",
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

    /// A word for what the clause is about.
    fn noun(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let from = self.pos;
        if frame.can_scale()
            && self.eat_phrase(&["the number of", "number of", "the count of", "the amount of"])
        {
            frame.nouns.push(Noun::Replicas);
            return Ok(true);
        }
        let mut previous = false;
        while vocab::noun(self.key(0)).is_none() && BEFORE_NOUN.contains(&self.key(0)) {
            previous |= self.key(0) == "previous";
            self.pos += 1;
        }
        let Some(noun) = vocab::noun(self.key(0)) else {
            let near = frame.can_scale() && typo::is_near(self.key(0), &["replicas", "replica", "instances"]);
            self.pos = if near { self.pos } else { from };
            return Ok(near && self.corrected(frame, "replicas", Noun::Replicas));
        };
        self.pos += 1;
        if noun == Noun::Replicas {
            self.eat(&["count"]);
        }
        frame.previous |= previous && matches!(noun, Noun::Logs | Noun::Container);
        if noun == Noun::Image && frame.is_read() && self.is_image_looked_for(from) {
            return Err(Ask::with(
                "An image is looked for in a prompt of its own, as in 'find pods with image nginx:1.28'",
                vec!["find pods with image nginx:1.28".to_owned()],
            ));
        }
        frame.nouns.push(noun);
        Ok(true)
    }

    /// Whether the image is what objects are picked by (`with image nginx`, `using the nginx image`): its name would be read as
    /// one of an object. `noun`: where the word for it stands.
    fn is_image_looked_for(&self, noun: usize) -> bool {
        let before = |back: usize| {
            let at = noun.checked_sub(back).and_then(|at| self.toks.get(at));
            at.map_or("", |tok| tok.key.as_str())
        };
        let picks = |word| PICKS.contains(&word);
        let article = matches!(before(2), "the" | "a" | "an");
        self.is_name(0) || self.is_quoted(0) || picks(before(2)) || (article && picks(before(3)))
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
        if self.eat_phrase(ROLLS_OUT) {
            frame.nouns.push(Noun::Rollout);
            return true;
        }
        self.eat_phrase(QUESTION_WORDS)
            || (matches!(frame.verb, Verb::Ask | Verb::Show | Verb::RolloutStatus)
                && self.eat_phrase(QUESTION_STATES))
    }
}
