//! Tokens that stand for names, as the second detector knows them: it trusts no other's word for what one is. A token is
//! `KCID_`, one of five kinds, `_`, six letters and one that checks them, with nothing of a word right before or after it.
//! Whatever only looks like one is read as what it is: letters.

use std::ops::Range;

const MARK: &str = "KCID_";
const KINDS: &[&str] = &["NAME", "NS", "HOST", "ADDR", "USER"];
const LETTERS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The text with one letter in the place of each token, of the case of what stands beside it: a token says nothing of how it was
/// chosen, and what stands on both sides of it is still one text.
pub(super) fn replaced(text: &str) -> String {
    let found = places(text);
    if found.is_empty() {
        return text.to_owned();
    }
    let rest: String = around(text, &found).collect();
    let letter = if rest.chars().any(char::is_lowercase) {
        "x"
    } else {
        "X"
    };
    around(text, &found).collect::<Vec<_>>().join(letter)
}

/// What stands before, between and after the tokens of a text, without the signs that join it to them; nothing of a text that
/// has none.
pub(super) fn beside(text: &str) -> impl Iterator<Item = &str> {
    let found = places(text);
    let pieces: Vec<&str> = if found.is_empty() {
        vec![]
    } else {
        around(text, &found).collect()
    };
    pieces
        .into_iter()
        .map(|piece| piece.trim_matches(|c: char| !c.is_alphanumeric()))
}

fn around<'t>(text: &'t str, found: &[Range<usize>]) -> impl Iterator<Item = &'t str> {
    let starts = std::iter::once(0).chain(found.iter().map(|token| token.end));
    let ends = found
        .iter()
        .map(|token| token.start)
        .chain(std::iter::once(text.len()));
    starts.zip(ends).filter_map(|(start, end)| text.get(start..end))
}

fn places(text: &str) -> Vec<Range<usize>> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |start: usize, end: usize| {
        !text.get(..start).is_some_and(|before| before.ends_with(word))
            && !text.get(end..).is_some_and(|after| after.starts_with(word))
    };
    let length = |start: usize| {
        let rest = text.get(start + MARK.len()..)?;
        KINDS.iter().find_map(|kind| {
            let letters = rest.strip_prefix(kind)?.strip_prefix('_')?.get(..7)?;
            checked(kind, letters).then_some(MARK.len() + kind.len() + 1 + 7)
        })
    };
    text.match_indices(MARK)
        .filter_map(|(start, _)| Some(start..start + length(start)?))
        .filter(|token| whole(token.start, token.end))
        .collect()
}

/// Whether the last letter is the one that the others ask for.
fn checked(kind: &str, letters: &str) -> bool {
    let Some(values) = letters
        .chars()
        .map(|c| LETTERS.find(c))
        .collect::<Option<Vec<usize>>>()
    else {
        return false;
    };
    let Some((last, others)) = values.split_last() else {
        return false;
    };
    let weighed = others.iter().enumerate().map(|(at, value)| value * (2 * at + 1));
    let kind = kind.bytes().map(usize::from).sum::<usize>();
    (weighed.sum::<usize>() + kind) % LETTERS.len() == *last
}
