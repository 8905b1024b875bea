//! A change that the rules understand within words that they do not: "I wonder whether to delete web", "drain every node
//! except n1", "avoid deleting web". The words around it may take it back, put it off or ask about it, in more ways than any
//! list holds: whoever does not understand them all does not know that it is asked for.

use super::clause::Mood;
use super::decide::decide;
use super::frame::Frame;
use super::lexicon::Lexicon;
use super::parser::Parser;
use super::scope::Scope;
use super::token::{self, Shape, Token};
use super::vocab::Verb;
use super::{Ask, Why, changes, forms, guard, hedges};

/// Words of a prompt at which a change is looked for; longer ones are texts, of which no model makes a change.
pub(super) const MOST_WORDS: usize = 120;
/// Words of a change at most.
const LONGEST: usize = 32;

/// Says of a question that is put for want of words who else may read the sentence.
pub(super) fn weigh(ask: Ask, tokens: &[Token], scope: &Scope<'_>) -> Ask {
    if ask.why == Why::OnPurpose {
        return ask;
    }
    let pasted = guard::any(tokens, &["kubectl"]);
    let why = if pasted || holds_a_change(tokens, scope, true) {
        Why::OnPurpose
    } else if tokens.len() > MOST_WORDS || hedges::holds_back(tokens) {
        Why::OnlyReads
    } else {
        ask.why
    };
    Ask { why, ..ask }
}

fn holds_a_change(tokens: &[Token], scope: &Scope<'_>, quotes: bool) -> bool {
    // A verb in -ing opens no prompt: with a pause before it, it does.
    let pause = Token {
        text: ",".to_owned(),
        key: ",".to_owned(),
        start: 0,
        end: 0,
        shape: Shape::Mark,
    };
    let all: Vec<Token> = std::iter::once(pause)
        .chain(tokens.iter().take(MOST_WORDS).cloned())
        .collect();
    let said = |token: &Token| quotes && token.shape == Shape::Quoted && token.text.contains(' ');
    let quoted = |token: &Token| holds_a_change(&token::tokens(&token.text, 0), scope, false);
    (1..all.len()).any(|at| begins(&all, at, scope)) || all.iter().any(|token| said(token) && quoted(token))
}

/// Whether a change begins here. Where a word is not understood, or makes a question of it, what stands before it is looked at
/// alone.
fn begins(tokens: &[Token], at: usize, scope: &Scope<'_>) -> bool {
    // "shop/checkout: restart"
    let told = at.checked_sub(1).and_then(|before| tokens.get(before));
    let told = told.is_some_and(|t| t.key == ":");
    let mut end = tokens.len().min(at + LONGEST);
    while end > at {
        match read(tokens.get(..end).unwrap_or_default(), at, scope.lexicon) {
            Ok(Some(frame)) => return is_understood(&frame, scope, told),
            Ok(None) => end -= 1,
            Err(unknown) => end = unknown.min(end - 1),
        }
    }
    false
}

/// The clause of a change that begins here, or where it stops being understood.
fn read<'a>(tokens: &'a [Token], at: usize, lexicon: &'a Lexicon) -> Result<Option<Frame<'a>>, usize> {
    let mut parser = Parser::new(tokens, lexicon);
    parser.pos = at;
    clause(&mut parser, at).map_err(|()| parser.pos)
}

fn clause<'a>(parser: &mut Parser<'a>, at: usize) -> Result<Option<Frame<'a>>, ()> {
    if let Some(frame) = parser.form(Mood::WhatIf).map_err(drop)? {
        return Ok(Some(frame).filter(|frame| !frame.is_read()));
    }
    let mut frame = parser.opening(Mood::Request).map_err(drop)?;
    // "nice to have 4 copies" says no more of "nice" than "web should have 4 copies" leaves open of web.
    let between = parser.toks.get(at..parser.pos).unwrap_or_default();
    let led = between.iter().find(|t| ORDERS.contains(&t.key.as_str()));
    let wish = !frame.targets.is_empty() && led.is_some_and(|t| t.key == "to");
    if wish || frame.is_read() {
        return Ok(None);
    }
    parser.fill(&mut frame).map_err(drop)?;
    Ok(Some(frame))
}

const ORDERS: &[&str] = &["to", "needs", "need", "must", "should", "has", "have", "ought"];

/// Whether the rules would act on it, or ask what they ask of such a change.
fn is_understood(frame: &Frame<'_>, scope: &Scope<'_>, told: bool) -> bool {
    let built = match &frame.form {
        Some(taken) => forms::build(frame, taken, scope).map(|_| true),
        None => changes::build(frame, scope).map(|change| !matches!(change, changes::Change::Read)),
    };
    built.unwrap_or_else(|ask| ask.why == Why::OnPurpose && says_what_it_does(frame, told))
}

/// Whether it is plain which change it is, and of what.
fn says_what_it_does(frame: &Frame<'_>, told: bool) -> bool {
    // "the label of web", "a drop in web"
    let noun = matches!(frame.verb, Verb::Label | Verb::Unlabel | Verb::Drop | Verb::Undo);
    let change = frame.form.is_some() || !noun && decide(frame).is_ok();
    // "let me have another look" counts nothing.
    let counts =
        frame.amount.is_some() && !matches!(frame.verb, Verb::Set | Verb::Want | Verb::Give | Verb::Add);
    change && (told || counts || !(frame.targets.is_empty() && frame.selector.is_empty()))
}
