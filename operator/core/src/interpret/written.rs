//! What was written by somebody else, or by a machine, and pasted.

use super::token::{Shape, Token};

/// What stands in quotes and is a sentence of its own is somebody's, and so is one that is nothing but a quote.
pub(super) fn is_quoted(tokens: &[Token]) -> bool {
    let sentence = |at: usize| {
        tokens
            .get(at)
            .is_some_and(|token| token.shape == Shape::Quoted && token.text.contains(' '))
    };
    let leads = |at: usize| {
        at.checked_sub(1)
            .and_then(|at| tokens.get(at))
            .map_or("\n", |token| token.key.as_str())
    };
    (0..tokens.len()).any(|at| sentence(at) && matches!(leads(at), ":" | "—" | "," | "\n"))
}

/// A line of a log, or of a list of events.
pub(super) fn is_logged(tokens: &[Token]) -> bool {
    let time = |key: &str| {
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let mut parts = key.split(':');
        let clock = parts.next().is_some_and(digits) && parts.next().is_some_and(digits);
        clock
            && parts
                .next()
                .is_some_and(|seconds| seconds.get(..2).is_some_and(digits))
    };
    let date = |key: &str| {
        let (year, rest) = key.split_once(['-', '/']).unwrap_or((key, ""));
        year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) && rest.contains(['-', '/'])
    };
    let level = |text: &str| {
        matches!(
            text,
            "INFO"
                | "WARN"
                | "WARNING"
                | "ERROR"
                | "DEBUG"
                | "TRACE"
                | "FATAL"
                | "NOTICE"
                | "Normal"
                | "Warning"
        )
    };
    let klog = |text: &str| {
        text.len() == 5
            && text.starts_with(['I', 'W', 'E', 'F'])
            && text.bytes().skip(1).all(|b| b.is_ascii_digit())
    };
    let first = tokens.first().map_or("", |token| token.text.as_str());
    level(first)
        || klog(first)
        || date(first)
        || tokens
            .iter()
            .any(|token| time(&token.key) || token.key.starts_with("level=") || token.key.starts_with("msg="))
}
