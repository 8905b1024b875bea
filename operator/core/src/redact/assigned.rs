//! `password: ...`, `API_TOKEN=...`, `--secret ...`, `the token is ...`: a word that names a secret, an assignment, a value.

use super::Blocked;
use super::shape::{Set, is_placeholder, is_reference, looks_chosen, looks_like_token, opens_gap};
use super::work::{Work, look};

/// How a value is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judge {
    /// It looks like a chosen password.
    Password,
    /// It looks like a token and not like the name of an object.
    Token,
}

/// Words that name a password.
pub(super) const PASSWORDS: &[&str] = &["password", "passwd", "passwort", "passphrase", "pwd", "passcode"];

/// Words that name a token.
pub(super) const TOKENS: &[&str] = &["secret", "token", "credential"];

/// `key` names a secret only with one of these before it.
pub(super) const KEY_OF: &[&str] = &[
    "api",
    "access",
    "auth",
    "secret",
    "private",
    "account",
    "signing",
    "encryption",
    "client",
    "master",
    "license",
];

/// What may stand between such a word and `key`.
pub(super) const KEY_JOINTS: &[&str] = &["", "_", "-", ".", " "];

/// Ends of names that say where a secret is, not what it is.
const ABOUT: &[&str] = &[
    "ref",
    "name",
    "names",
    "path",
    "file",
    "dir",
    "policy",
    "ttl",
    "seconds",
    "expiry",
    "expires",
    "length",
    "count",
    "url",
    "uri",
    "endpoint",
    "type",
    "version",
    "id",
    "hash",
    "enabled",
    "required",
    "namespace",
    "mode",
    "rotation",
];

/// Longest value.
const MAX_VALUE: usize = 4096;
/// Longest rest of a name after the word (`PASSWORD_FOR_BACKUPS`).
const MAX_SUFFIX: usize = 32;
/// Longest name, and longest words between a name and its value: no word is looked for further away, however many there are.
const MAX_NAME: usize = 256;

/// A value: first byte, one past the last.
pub(super) type Range = (usize, usize);

/// Work for a word that names a secret, whatever stands beside it.
const A_WORD: usize = 128;

/// The value that is given to the name whose word stands at `start..end`, if it looks like one.
pub(super) fn value(
    text: &str,
    start: usize,
    end: usize,
    judge: Judge,
    work: &mut Work,
) -> Result<Option<Range>, Blocked> {
    work.spend(A_WORD)?;
    let Some((range, opened)) = given(text, start, end) else {
        return Ok(None);
    };
    // Charged whatever it is judged to be: in a text of names each may be the value of those before it.
    work.spend(range.1 - range.0)?;
    Ok(judged(text, range, opened, judge).then_some(range))
}

/// What is given to the name whose word stands at `start..end`, and whether a tag opens it.
fn given(text: &str, start: usize, end: usize) -> Option<(Range, bool)> {
    let bytes = text.as_bytes();
    let reach = bytes.get(..bytes.len().min(end + MAX_SUFFIX))?;
    let suffix = super::shape::run(reach, end, Set::Url);
    let rest = text.get(end..suffix)?.to_ascii_lowercase();
    if ABOUT.iter().any(|about| rest.ends_with(about)) {
        return None;
    }
    let flag = is_flag(bytes, start);
    let named = is_tag(bytes, start);
    let at = assignment(text, suffix, flag, named).or_else(|| {
        // "the password for user admin is ..", "of"
        let after = skip_owner(text, suffix)?;
        assignment(text, after, false, false)
    })?;
    // Whatever its length, a gap to be filled is no value.
    if bytes.get(at).is_none_or(|b| opens_gap(char::from(*b))) {
        return None;
    }
    let opened = named && text.get(..at).is_some_and(|before| before.ends_with('>'));
    Some((token(text, at)?, opened))
}

fn judged(text: &str, range: Range, opened: bool, judge: Judge) -> bool {
    let value = text.get(range.0..range.1).unwrap_or_default();
    // `<password>x</password>` and not `<password>`.
    let closed = !opened || text.as_bytes().get(range.1) == Some(&b'<');
    closed
        && !is_placeholder(value)
        && !is_reference(value)
        && match judge {
            Judge::Password => value.len() >= 6 && looks_chosen(value),
            Judge::Token => value.len() >= 8 && looks_like_token(value),
        }
}

/// Values assigned within `reach` bytes after `at`, on the same line.
pub(super) fn near(text: &str, at: usize, reach: usize) -> impl Iterator<Item = Range> + '_ {
    let bytes = text.as_bytes();
    let line = bytes
        .get(at..)
        .unwrap_or_default()
        .iter()
        .take(reach)
        .take_while(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b' ' | b'"' | b'\'' | b'\\')
        })
        .count();
    (at..=at + line)
        .filter(move |i| !bytes.get(*i).is_some_and(u8::is_ascii_alphanumeric))
        .filter_map(move |i| token(text, assignment(text, i, false, false)?))
}

/// Where the value begins after `=`, `:`, `=>`, ` is `, ..; quotes before it are skipped.
fn assignment(text: &str, at: usize, flag: bool, tag: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut i = at;
    let get = |i: usize| bytes.get(i).copied().unwrap_or(b'\n');
    while matches!(get(i), b'"' | b'\'' | b'\\' | b'`' | b']') && i < at + 4 {
        i += 1;
    }
    let spaces = |mut i: usize| {
        while matches!(get(i), b' ' | b'\t') {
            i += 1;
        }
        i
    };
    let after = spaces(i);
    let rest = text.get(after..)?;
    let symbol = [":=", "=>", "->", "==", "%3D", "%3d", "%3A", "=", ":", "\u{ff1a}"]
        .iter()
        .find(|op| rest.starts_with(**op));
    let begin = if let Some(op) = symbol {
        if rest.starts_with("://") {
            return None;
        }
        spaces(after + op.len())
    } else if tag && rest.starts_with('>') {
        after + 1
    } else if after > i {
        let word = ["is", "to", "as", "was"].iter().find(|word| {
            rest.get(..word.len())
                .is_some_and(|w| w.eq_ignore_ascii_case(word))
                && rest
                    .as_bytes()
                    .get(word.len())
                    .is_some_and(|b| matches!(b, b' ' | b'\t' | b':'))
        });
        match word {
            Some(word) => {
                let next = spaces(after + word.len());
                if get(next) == b':' { spaces(next + 1) } else { next }
            }
            None if flag && get(after) != b'-' => after,
            None => return None,
        }
    } else {
        return None;
    };
    let mut i = begin;
    while matches!(get(i), b'"' | b'\'' | b'\\' | b'`') && i < begin + 8 {
        i += 1;
    }
    Some(i)
}

/// The value at `at`, up to what ends one: white space, a quote, an escape, `,`, `;`, `<`, `&`.
fn token(text: &str, at: usize) -> Option<Range> {
    let bytes = text.as_bytes();
    let quoted = at.checked_sub(1).and_then(|i| bytes.get(i)).copied();
    let mut end = at;
    while let Some(b) = bytes.get(end).filter(|_| end - at < MAX_VALUE) {
        let ends = match quoted {
            Some(quote @ (b'"' | b'\'' | b'`')) => *b == quote || matches!(b, b'\n' | b'\\'),
            _ => {
                b.is_ascii_whitespace()
                    || matches!(b, b'"' | b'\'' | b'`' | b',' | b';' | b'<')
                    || *b == b'\\'
                        && bytes
                            .get(end + 1)
                            .is_none_or(|next| matches!(next, b'n' | b'r' | b't' | b'"'))
            }
        };
        if ends {
            break;
        }
        end += 1;
    }
    look(end - at);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // A sentence's end is no part of it; a passphrase of several words ends with its quote.
    let value = text.get(at..end)?;
    let trimmed = value.trim_end_matches([')', ']', '}']);
    (!trimmed.is_empty()).then_some((at, at + trimmed.len()))
}

/// Whether the word belongs to a flag (`--db-password x`).
fn is_flag(bytes: &[u8], start: usize) -> bool {
    let name = bytes.get(..start).unwrap_or_default();
    let near = name.iter().rev().take(MAX_NAME);
    let word = near.take_while(|b| Set::Url.has(**b)).count();
    look(word);
    // One whose beginning is too far away may be anything, a flag too.
    word == MAX_NAME || name.get(start - word..).is_some_and(|w| w.starts_with(b"--"))
}

/// Whether the word belongs to a tag (`<dbPassword>x</dbPassword>`).
fn is_tag(bytes: &[u8], start: usize) -> bool {
    let name = bytes.get(..start).unwrap_or_default();
    let near = name.iter().rev().take(MAX_NAME);
    let word = near.take_while(|b| Set::Dotted.has(**b)).count();
    look(word);
    word == MAX_NAME || (start - word).checked_sub(1).and_then(|i| name.get(i)) == Some(&b'<')
}

/// ` for user admin`, ` of the database`: up to three words.
fn skip_owner(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..text.floor_char_boundary(at + MAX_NAME))?;
    let mut words = rest.split_inclusive(' ');
    if words.next()? != " " {
        return None;
    }
    let first = words.next()?;
    if !matches!(first.trim_end(), "for" | "of") {
        return None;
    }
    let mut end = at + 1 + first.len();
    for word in words.take(4) {
        let plain = word.trim_end();
        if matches!(plain, "is" | "to" | "as" | "was") || plain.starts_with(['=', ':']) {
            return Some(end - 1);
        }
        if let Some(name) = plain.strip_suffix([':', '=']) {
            return Some(end + name.len());
        }
        if !plain.bytes().all(|b| Set::Dotted.has(b) || b == b'@') {
            return None;
        }
        end += word.len();
    }
    None
}
