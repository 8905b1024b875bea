//! The rules interpreter: from what a person wrote to typed intents, without a model and without the cluster.
//!
//! ```text
//! prompt -> token (spans, invisible characters dropped) -> kubectl lines | sentences
//! sentences: clause (moods, clauses, corrections) -> frame (one verb, phrases in any order) -> reads | changes -> Intent
//! ```
//!
//! **Invariants:** pure (no clock, no I/O); a change comes only out of a verb that means it; every word is understood or
//! the whole prompt is [`Interpretation::NeedsInput`]; work is linear in the length of the prompt. Called by the
//! operator for turns of the Rules provider and wherever another provider falls back to rules.

mod amounts;
mod ask;
mod attributes;
mod changes;
mod clause;
mod correction;
mod decide;
mod dictionary;
mod fill;
mod flags;
mod followup;
mod form_create;
mod form_net;
mod form_new;
mod form_pieces;
mod forms;
mod frame;
mod guard;
mod hedges;
mod images;
mod kinds;
mod kubectl;
mod kubectl_flags;
mod lexicon;
mod lookups;
mod manifest;
mod names;
mod openings;
mod parser;
mod past;
mod phrase;
mod places;
mod quantities;
mod question_pieces;
mod reads;
mod resources;
mod scope;
mod sentence;
mod session;
#[cfg(test)]
mod session_tests;
mod tables;
mod token;
mod told;
mod told_words;
mod typo;
mod vocab;
mod within;
mod words;
mod written;

use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};

pub use ask::Why;
pub use lexicon::{KindInfo, Lexicon};
pub use session::{Earlier, MEMORY};

use ask::Ask;
use clause::Mood;
use parser::Parser;
pub(crate) use question_pieces::is_right;
use scope::Scope;
use token::{Clean, Token};

/// Longest prompt that is read, in bytes; the API has the same limit.
pub const MAX_PROMPT_BYTES: usize = 16 * 1024;
/// Most intents of one prompt: the limit of steps of a plan.
pub const MAX_INTENTS: usize = 64;

/// The name by which a turn's status says that the built-in interpreter read the prompt.
pub const RULES: &str = "rules";

/// Whether a prompt holds characters that its reader cannot see and nobody types: text that was pasted, or made to look
/// like another. Joiners and variation selectors, of which emoji and some scripts are made, are not among them.
#[must_use]
pub fn hides_text(prompt: &str) -> bool {
    prompt.chars().any(token::is_deceptive)
}

/// Whether a prompt holds lines that were pasted and say what they say: kubectl commands, a manifest.
#[must_use]
pub fn is_pasted(prompt: &str) -> bool {
    let text = token::clean(prompt).text.replace("\\\n", "  ");
    manifest::holds_one(prompt)
        || parts(&text)
            .iter()
            .any(|part| matches!(part, Part::Kubectl { .. }))
}

/// The whole number that these words begin with, in figures or in words, and how many words it takes.
pub(crate) fn number_at(words: &[&str]) -> Option<(i64, usize)> {
    words::number(|i| words.get(i).copied().unwrap_or(""))
}

/// Intents as one sentence, whoever understood them.
#[must_use]
pub fn say(intents: &[Intent]) -> String {
    format!("{}.", sentence::phrases(intents))
}

/// What the interpreter knows besides the prompt.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Kinds of the cluster.
    pub lexicon: &'a Lexicon,
    /// The session's earlier turns, newest last, at most [`MEMORY`]. "it" is what they named when that is exactly one thing.
    pub previous: &'a [Earlier],
}

/// What a prompt comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interpretation {
    /// Reads and changes, in order.
    Intents(Vec<Intent>),
    /// Nothing is done until the person says more.
    NeedsInput {
        /// What was not understood, what was not done, what to say.
        message: String,
        /// Sentences or names to choose from.
        candidates: Vec<String>,
        /// Why it is asked.
        why: Why,
    },
    /// No request: a short text on what KubeChat can do.
    Chat {
        /// The text.
        text: String,
    },
    /// "undo that": the inverse of the session's last plan.
    UndoPrevious,
    /// "what happens if I ...": an answer, never a plan.
    WhatIf(Vec<Intent>),
}

/// An interpretation and the sentence that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Understood {
    /// What is to be done.
    pub interpretation: Interpretation,
    /// One sentence: what was understood, with corrected typing errors and ignored characters.
    pub understood: String,
}

/// An intent without its place in the prompt.
#[derive(Clone, Debug)]
struct Draft {
    action: Action,
    target: IntentTarget,
    params: IntentParams,
}

/// Understands a prompt. Pure: the same prompt and context give the same answer.
#[must_use]
pub fn interpret(prompt: &str, ctx: &Context<'_>) -> Understood {
    let cleaned = if prompt.len() > MAX_PROMPT_BYTES {
        Clean::default()
    } else {
        token::clean(prompt)
    };
    let mut typos = Vec::new();
    let interpretation = if prompt.len() > MAX_PROMPT_BYTES {
        Ask::new(format!(
            "The prompt is longer than {MAX_PROMPT_BYTES} bytes; send it in parts"
        ))
        .into_interpretation()
    } else {
        read(prompt, &cleaned, ctx, &mut typos)
    };
    let understood = sentence::understood(&interpretation, &typos, &cleaned.invisible, cleaned.dropped);
    Understood {
        interpretation,
        understood,
    }
}

/// Whether a prompt is understood without what was said before it: it then means the same in a session. Of a prompt of which
/// nobody can tell without the session, earlier turns have to be read first.
#[must_use]
pub fn stands_alone(prompt: &str, ctx: &Context<'_>) -> bool {
    match interpret(prompt, ctx).interpretation {
        Interpretation::Intents(_) | Interpretation::WhatIf(_) | Interpretation::Chat { .. } => true,
        Interpretation::NeedsInput { .. } | Interpretation::UndoPrevious => false,
    }
}

fn read(
    prompt: &str,
    cleaned: &Clean,
    ctx: &Context<'_>,
    typos: &mut Vec<(String, String)>,
) -> Interpretation {
    if cleaned.control.is_some() {
        let message = "The prompt holds control characters; nothing was done. Type it as plain text";
        return Ask::new(message).into_interpretation();
    }
    if !cleaned.text.chars().any(char::is_alphanumeric) {
        return Ask::with(
            "The prompt is empty; say what to do",
            vec!["list pods".to_owned()],
        )
        .into_interpretation();
    }
    if let Some(found) = manifest::read(prompt, cleaned.dropped > 0) {
        return whole(found, cleaned, ctx, typos);
    }
    let text = cleaned.text.replace("\\\n", "  ");
    let tokens = token::tokens(&text, 0);
    if let Err(ask) = guard::screen(&tokens) {
        return ask.into_interpretation();
    }
    if let Some(draft) = lookups::read(&tokens, ctx.lexicon) {
        return whole(Ok(vec![draft]), cleaned, ctx, typos);
    }
    if let Some(ask) = lookups::misplaced(&tokens, ctx.lexicon) {
        return ask.into_interpretation();
    }
    let mut turn = Turn::new(cleaned, ctx, typos);
    // Pasted lines and text that nobody sees are nobody's to read in another way.
    let plain = cleaned.dropped == 0 && !is_pasted(prompt);
    for part in parts(&text) {
        let done = match part {
            Part::Kubectl { args, start, end } => turn.kubectl(args, start, end),
            Part::Sentences { start, end } => {
                let within: Vec<Token> = tokens
                    .iter()
                    .filter(|t| t.start >= start && t.start < end)
                    .cloned()
                    .collect();
                turn.sentences(&within)
            }
        };
        if let Err(answer) = done {
            turn.typos.clear();
            return if plain { answer } else { answer.on_purpose() };
        }
    }
    turn.finish()
}

/// What takes a whole prompt: a pasted manifest, a question with a grammar of its own.
fn whole(
    found: Result<Vec<Draft>, Ask>,
    cleaned: &Clean,
    ctx: &Context<'_>,
    typos: &mut Vec<(String, String)>,
) -> Interpretation {
    let drafts = match found {
        Ok(drafts) => drafts,
        Err(ask) => return ask.into_interpretation(),
    };
    let mut turn = Turn::new(cleaned, ctx, typos);
    for draft in drafts {
        if let Err(answer) = turn.push(draft, 100, 0, cleaned.text.len()) {
            return answer;
        }
    }
    turn.finish()
}

/// A run of lines of the prompt.
enum Part<'t> {
    /// One pasted line: its arguments and its place in the clean text.
    Kubectl { args: &'t str, start: usize, end: usize },
    /// Lines in between, in a person's words.
    Sentences { start: usize, end: usize },
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut out: Vec<Part<'_>> = Vec::new();
    let mut at = 0;
    for line in text.split('\n') {
        let (start, end) = (at, at + line.len());
        at = end + 1;
        if let Some(args) = kubectl::arguments(line) {
            out.push(Part::Kubectl { args, start, end });
        } else if let Some(Part::Sentences { end: last, .. }) = out.last_mut() {
            *last = end;
        } else if !line.trim().is_empty() {
            out.push(Part::Sentences { start, end });
        }
    }
    out
}

struct Turn<'a, 't> {
    scope: Scope<'a>,
    cleaned: &'t Clean,
    typos: &'t mut Vec<(String, String)>,
    mood: Option<Mood>,
    undo: bool,
    parts: usize,
}

impl<'a, 't> Turn<'a, 't> {
    const fn new(cleaned: &'t Clean, ctx: &Context<'a>, typos: &'t mut Vec<(String, String)>) -> Self {
        Self {
            scope: Scope {
                lexicon: ctx.lexicon,
                session: ctx.previous,
                turn: Vec::new(),
            },
            cleaned,
            typos,
            mood: None,
            undo: false,
            parts: 0,
        }
    }
}

impl Turn<'_, '_> {
    fn kubectl(&mut self, args: &str, start: usize, end: usize) -> Result<(), Interpretation> {
        let drafts = kubectl::read(args, self.scope.lexicon).map_err(Ask::into_interpretation)?;
        self.parts += 1;
        for draft in drafts {
            self.push(draft, 100, start, end)?;
        }
        Ok(())
    }

    fn sentences(&mut self, tokens: &[Token]) -> Result<(), Interpretation> {
        if guard::forbids(tokens) {
            let text =
                "Nothing will be done. Changes are only made when asked for, and shown as a plan first."
                    .to_owned();
            return Err(Interpretation::Chat { text });
        }
        let before = self.scope.turn.len();
        let done = self.clauses(tokens).and_then(|()| {
            let made = self.scope.turn.get(before..).unwrap_or_default();
            let changes = made.iter().any(|intent| !intent.action.is_read());
            let named = made.iter().flat_map(|intent| &intent.target.names);
            let named: Vec<&str> = named.map(String::as_str).collect();
            if changes && told::tells_like_an_order(tokens, &named) {
                return Err(Ask::new(
                    "That reads as something that was done already; nothing was done. To request it, say only what to do",
                )
                .firm());
            }
            Ok(())
        });
        done.map_err(|ask| match guard::small_talk(tokens) {
            Some(chat) if self.scope.turn.is_empty() => chat,
            Some(_) | None => {
                let ask = guard::refine(tokens, self.scope.lexicon, ask);
                within::weigh(ask, tokens, &self.scope).into_interpretation()
            }
        })
    }

    fn clauses(&mut self, tokens: &[Token]) -> Result<(), Ask> {
        if let Some(follow) = followup::read(tokens, &self.scope)? {
            self.parts += 1;
            self.mood = follow.only_asked.then_some(Mood::WhatIf);
            return follow
                .drafts
                .into_iter()
                .try_for_each(|draft| self.add(draft, 90, tokens));
        }
        if let Some((question, meant)) = followup::of_them(tokens, &self.scope)? {
            self.clauses(&question)?;
            return scope::narrowed(&mut self.scope.turn, meant);
        }
        let mut parser = Parser::new(tokens, self.scope.lexicon);
        let found = parser.sentences()?;
        let typos = std::mem::take(&mut parser.typos);
        if found.frames.is_empty() {
            return Err(Ask::new("There is no request in that").without_words());
        }
        if self.mood.is_some_and(|m| m != found.mood) {
            return Err(Ask::new(
                "Ask about consequences and request changes in separate prompts",
            ));
        }
        self.mood = Some(found.mood);
        for frame in &found.frames {
            self.parts += 1;
            let confidence = if frame.unsure || !typos.is_empty() || frame.targets.iter().any(|np| np.pronoun)
            {
                90
            } else {
                100
            };
            let words = tokens.get(frame.start..frame.end).unwrap_or_default();
            if let Some(taken) = &frame.form {
                forms::build(frame, taken, &self.scope)?
                    .into_iter()
                    .try_for_each(|draft| self.add(draft, confidence, words))?;
                continue;
            }
            let change = if frame.is_read() {
                changes::Change::Read
            } else {
                changes::build(frame, &self.scope)?
            };
            let drafts = match change {
                changes::Change::Drafts(drafts) => drafts,
                changes::Change::Read => {
                    reads::build(frame, &self.scope).map_err(|ask| ask.about_a_read(&frame.word))?
                }
                changes::Change::Undo => {
                    self.undo = true;
                    Vec::new()
                }
            };
            drafts
                .into_iter()
                .try_for_each(|draft| self.add(draft, confidence, words))?;
        }
        self.typos.extend(typos);
        Ok(())
    }

    fn add(&mut self, draft: Draft, confidence: i32, words: &[Token]) -> Result<(), Ask> {
        let start = words.first().map_or(0, |t| t.start);
        let end = words
            .iter()
            .rev()
            .find(|t| t.shape != token::Shape::Mark)
            .or(words.last())
            .map_or(start, |t| t.end);
        self.push(draft, confidence, start, end).map_err(|_| too_many())
    }

    fn push(
        &mut self,
        draft: Draft,
        confidence: i32,
        start: usize,
        end: usize,
    ) -> Result<(), Interpretation> {
        if self.scope.turn.len() >= MAX_INTENTS {
            return Err(too_many().into_interpretation());
        }
        let at = |byte: usize| i32::try_from(self.cleaned.original(byte)).unwrap_or(i32::MAX);
        let span = Span {
            start: at(start),
            end: at(end),
        };
        let Draft {
            action,
            target,
            params,
        } = draft;
        self.scope.turn.push(Intent {
            action,
            target,
            params,
            confidence,
            span,
        });
        Ok(())
    }

    fn finish(self) -> Interpretation {
        let intents = self.scope.turn;
        if self.undo {
            return if self.parts == 1 {
                Interpretation::UndoPrevious
            } else {
                Ask::new("Undo and other requests go in separate prompts").into_interpretation()
            };
        }
        let changes = intents.iter().any(|i| !i.action.is_read());
        match self.mood.unwrap_or_default() {
            Mood::WhatIf => Interpretation::WhatIf(intents),
            Mood::HowTo if changes => {
                let say = sentence::phrases(&intents);
                Ask::with(format!("Nothing was done. To do it, say: {say}"), vec![say]).into_interpretation()
            }
            Mood::HowTo | Mood::Request => Interpretation::Intents(intents),
        }
    }
}

fn too_many() -> Ask {
    Ask::new(format!(
        "That is more than {MAX_INTENTS} requests in one prompt; send them in parts"
    ))
    .firm()
}
