//! The one place that takes secrets out of text: of prompts at admission, of what is shown, stored and recorded, and of
//! everything before a model sees it.
//!
//! Structure first ([`structure`]), then patterns ([`engine`]): first letters ([`fixed`]), forms ([`forms`]), values beside
//! the name of a service ([`named`]) or of a secret ([`assigned`]); each also within base64, percent codes and JSON in
//! strings ([`encoded`]), and with unseen characters taken out ([`view`]). [`names`] hides who and what is meant behind
//! tokens that come back; [`second`] is another detector, written without the first, for the body that leaves.
//!
//! **Invariants:** a [`Hit`] and an error say class and place, never the value. What cannot be looked at is [`Blocked`],
//! never let through. Secrets are replaced, not encrypted: nothing brings them back.

mod assigned;
mod encoded;
mod engine;
mod fixed;
mod forms;
mod named;
pub mod names;
mod restore;
pub mod second;
mod shape;
#[cfg(test)]
mod slow_tests;
mod structure;
mod view;
mod work;

use std::collections::BTreeMap;

use serde_json::Value;

use view::View;
use work::Work;

/// Largest text that is looked at; a longer one is blocked.
pub const MAX_TEXT: usize = 8 * 1024 * 1024;

/// A secret in a text: what kind, and its bytes (UTF-8, end exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Stable name of the class, for messages and metrics.
    pub class: &'static str,
}

/// Why a text was not looked through to its end; it must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// More than [`MAX_TEXT`].
    #[error("the text has more than {MAX_TEXT} bytes")]
    TooLong,
    /// It was made so that looking for secrets takes too long.
    #[error("looking for secrets in the text takes too much work")]
    TooMuchWork,
    /// The rules cannot be used, or what came out is not what went in.
    #[error("the detector of secrets does not work")]
    Broken,
}

/// How sure it is that something is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// It may hold one (the value of an environment variable): not shown to others.
    Withheld,
    /// It is one: a prompt with it is refused.
    Secret,
}

/// One find, before overlaps are made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Find {
    start: usize,
    end: usize,
    class: &'static str,
    weight: Weight,
}

/// A text without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redacted {
    /// What is left, with `[REDACTED:class:n]` where something was.
    pub text: String,
    /// How many were taken out, by class.
    pub counts: BTreeMap<&'static str, usize>,
}

/// The secrets in a text, in order and without overlaps. What may be one only by its place (values of environment
/// variables, random letters) is not among them: these are what a prompt is refused for.
///
/// # Errors
/// When the text was not looked through to its end.
pub fn find(text: &str) -> Result<Vec<Hit>, Blocked> {
    let finds = all(text, false)?;
    let secret = finds
        .into_iter()
        .filter(|(_, find)| find.weight == Weight::Secret);
    Ok(merge(secret.collect())
        .into_iter()
        .map(|find| Hit {
            start: find.start,
            end: find.end,
            class: find.class,
        })
        .collect())
}

/// A text as others may see it: without secrets, and without what may be one.
///
/// # Errors
/// When the text was not looked through to its end.
pub fn redact(text: &str) -> Result<Redacted, Blocked> {
    let finds = merge(all(text, true)?);
    let mut out = Redacted {
        text: String::with_capacity(text.len()),
        counts: BTreeMap::new(),
    };
    let mut at = 0;
    for find in finds {
        let count = out.counts.entry(find.class).or_default();
        *count += 1;
        out.text
            .push_str(text.get(at..find.start).ok_or(Blocked::Broken)?);
        let gone = text.get(find.start..find.end).ok_or(Blocked::Broken)?;
        // A whole list or map of JSON becomes a string, so that what holds it stays JSON.
        let within = text
            .get(..find.start)
            .is_some_and(|before| before.ends_with(['"', '\'']));
        let whole = gone.starts_with(['{', '[']) && gone.ends_with(['}', ']']) && !within;
        let quote = if whole { "\"" } else { "" };
        let mark = format!("{quote}[REDACTED:{}:{count}]{quote}", find.class);
        out.text.push_str(&mark);
        at = find.end;
    }
    out.text.push_str(text.get(at..).ok_or(Blocked::Broken)?);
    Ok(out)
}

/// An object as others may see it.
///
/// # Errors
/// When it was not looked through to its end.
pub fn value(value: &Value) -> Result<(Value, BTreeMap<&'static str, usize>), Blocked> {
    let redacted = redact(&value.to_string())?;
    let value = serde_json::from_str(&redacted.text).map_err(|_| Blocked::Broken)?;
    Ok((value, redacted.counts))
}

/// A text as others may see it; one that cannot be looked at is withheld whole.
#[must_use]
pub fn shown(text: &str) -> String {
    match redact(text) {
        Ok(redacted) => redacted.text,
        Err(blocked) => format!("[REDACTED: {blocked}]"),
    }
}

/// The classes of secrets known by their patterns.
#[must_use]
pub fn classes() -> std::collections::BTreeSet<&'static str> {
    engine::classes().collect()
}

fn all(text: &str, bare: bool) -> Result<Vec<(u8, Find)>, Blocked> {
    if text.len() > MAX_TEXT {
        return Err(Blocked::TooLong);
    }
    let view = View::of(text);
    let mut finds = engine::find(&view.text, bare, &mut Work::for_text(text))?;
    for (_, find) in &mut finds {
        (find.start, find.end) = view.range(find.start, find.end);
    }
    Ok(finds)
}

/// In order; finds that overlap become one, named by the surest rule.
fn merge(mut finds: Vec<(u8, Find)>) -> Vec<Find> {
    finds.sort_by_key(|(rank, find)| (find.start, *rank, std::cmp::Reverse(find.end)));
    let mut out: Vec<(u8, Find)> = vec![];
    for (rank, find) in finds {
        match out.last_mut() {
            Some((best, last)) if find.start < last.end => {
                last.end = last.end.max(find.end);
                last.weight = last.weight.max(find.weight);
                if rank < *best {
                    (*best, last.class) = (rank, find.class);
                }
            }
            _ => out.push((rank, find)),
        }
    }
    out.into_iter().map(|(_, find)| find).collect()
}
