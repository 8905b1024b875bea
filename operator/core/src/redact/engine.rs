//! Patterns: one pass for all keywords at once, then each rule only where its keyword stands.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::{Captures, Regex};

use super::assigned::{self, Judge};
use super::encoded::{self, Inner};
use super::fixed::{self, Fixed};
use super::forms::{Check, FORMS, Form};
use super::named::{self, NAMED, Named};
use super::shape::{self, Set};
use super::work::{Work, look};
use super::{Blocked, Find, Weight, structure};

/// What a keyword leads to.
#[derive(Clone, Copy, Debug)]
enum Lead {
    Fixed(&'static Fixed, bool),
    Form(usize),
    Named(&'static Named),
    Assigned(Judge, &'static str),
}

struct Engine {
    keywords: AhoCorasick,
    leads: Vec<Lead>,
    forms: Vec<(&'static Form, Regex)>,
}

/// `None` only where a rule does not compile, which a test rules out; then everything is blocked.
static ENGINE: LazyLock<Option<Engine>> = LazyLock::new(build);

fn build() -> Option<Engine> {
    let mut words: Vec<String> = vec![];
    let mut leads = vec![];
    let mut lead = |word: &str, to: Lead| {
        words.push(word.to_owned());
        leads.push(to);
    };
    for rule in fixed::CERTAIN {
        lead(rule.1, Lead::Fixed(rule, true));
    }
    for rule in fixed::PROBABLE {
        lead(rule.1, Lead::Fixed(rule, false));
    }
    for (at, form) in FORMS.iter().enumerate() {
        form.keywords.iter().for_each(|word| lead(word, Lead::Form(at)));
    }
    for rule in NAMED {
        rule.1.iter().for_each(|word| lead(word, Lead::Named(rule)));
    }
    for word in assigned::PASSWORDS {
        lead(word, Lead::Assigned(Judge::Password, "password"));
    }
    for word in assigned::TOKENS {
        lead(word, Lead::Assigned(Judge::Token, "token"));
    }
    for of in assigned::KEY_OF {
        for joint in assigned::KEY_JOINTS {
            lead(&format!("{of}{joint}key"), Lead::Assigned(Judge::Token, "token"));
        }
    }
    let keywords = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind(Some(AhoCorasickKind::DFA))
        .build(&words)
        .ok()?;
    let forms = FORMS
        .iter()
        .map(|form| Some((form, Regex::new(form.pattern).ok()?)))
        .collect::<Option<Vec<_>>>()?;
    Some(Engine {
        keywords,
        leads,
        forms,
    })
}

/// All classes this file can name, for tests and documentation.
pub(super) fn classes() -> impl Iterator<Item = &'static str> {
    let fixed = fixed::CERTAIN.iter().chain(fixed::PROBABLE).map(|rule| rule.0);
    let forms = FORMS.iter().map(|form| form.class);
    let named = NAMED.iter().map(|rule| rule.0);
    fixed.chain(forms).chain(named).chain(["password", "token"])
}

/// Encodings within encodings that are looked into.
const MAX_DEPTH: usize = 3;

/// Everything found in a text, unsorted. `bare` also finds random letters that no word speaks for.
pub(super) fn find(text: &str, bare: bool, work: &mut Work) -> Result<Vec<(u8, Find)>, Blocked> {
    within(text, bare, 0, work)
}

fn within(text: &str, bare: bool, depth: usize, work: &mut Work) -> Result<Vec<(u8, Find)>, Blocked> {
    work.spend(text.len())?;
    // A field's name tells less than what else is found in its value.
    let rank = |find: &Find| if find.class == "sensitive-field" { 6 } else { 4 };
    let mut out: Vec<(u8, Find)> = structure::find(text, work)?
        .into_iter()
        .map(|find| (rank(&find), find))
        .collect();
    patterns(text, &mut out, work)?;
    if depth < MAX_DEPTH {
        hidden(text, bare, depth, &mut out, work)?;
    }
    if bare {
        bare_runs(text, &mut out);
    }
    Ok(out)
}

fn patterns(text: &str, out: &mut Vec<(u8, Find)>, work: &mut Work) -> Result<(), Blocked> {
    let engine = ENGINE.as_ref().ok_or(Blocked::Broken)?;
    let masks = masks(text);
    // The last sure find: what begins within it needs no second look.
    let mut covered = 0..0;
    // Up to here stands a run of letters that is no token of several parts.
    let mut single = 0;
    for hit in engine.keywords.find_overlapping_iter(text) {
        work.spend(16)?;
        let begins_within = covered.contains(&hit.start()) && hit.start() > covered.start;
        // Masks stand in order: the last that begins before it is the only one it can be within.
        let after = masks.partition_point(|mask| mask.start <= hit.start());
        let masked = after.checked_sub(1).and_then(|at| masks.get(at));
        if begins_within || masked.is_some_and(|mask| mask.contains(&hit.start())) {
            continue;
        }
        let Some(lead) = engine.leads.get(hit.pattern().as_usize()) else {
            continue;
        };
        let found = match lead {
            Lead::Fixed(rule, certain) => {
                let found = fixed_at(text, hit.start(), hit.end(), rule, *certain, work)?;
                found.map(|end| (if *certain { 0 } else { 2 }, hit.start(), end, rule.0))
            }
            Lead::Form(at) => match engine.forms.get(*at) {
                Some((form, pattern)) => {
                    if form.check == Check::Jose && is_single(text, hit.start(), &mut single, work)? {
                        continue;
                    }
                    form_at(text, hit.start(), form, pattern, work)?
                        .map(|(start, end)| (1, start, end, form.class))
                }
                None => None,
            },
            Lead::Named(rule) => {
                work.spend(named::REACH)?;
                named_at(text, hit.end(), rule, work)?.map(|(start, end)| (3, start, end, rule.0))
            }
            Lead::Assigned(judge, class) => assigned::value(text, hit.start(), hit.end(), *judge, work)?
                .map(|(start, end)| (5, start, end, *class)),
        };
        if let Some((rank, start, end, class)) = found {
            work.spend(end - start)?;
            if rank < 2 {
                covered = start..end;
            }
            out.push((
                rank,
                Find {
                    start,
                    end,
                    class,
                    weight: Weight::Secret,
                },
            ));
        }
    }
    Ok(())
}

/// Longest mask of ours, with room.
const MAX_MASK: usize = 96;

/// Where our own masks stand, in order.
fn masks(text: &str) -> Vec<std::ops::Range<usize>> {
    let mask = |(start, _): (usize, &str)| {
        let length = text
            .as_bytes()
            .get(start..)?
            .iter()
            .take(MAX_MASK)
            .position(|b| *b == b']')?;
        let end = start + length + 1;
        is_mask(text.get(start..end)?).then_some(start..end)
    };
    text.match_indices("[REDACTED:").filter_map(mask).collect()
}

/// Whether a value is one of our masks, with or without its brackets. Only a class that there is, with a number, is one:
/// nobody hides a secret in another.
pub(super) fn is_mask(value: &str) -> bool {
    static CLASSES: LazyLock<BTreeSet<&'static str>> =
        LazyLock::new(|| classes().chain(structure::CLASSES.iter().copied()).collect());
    if value == crate::plan::object::MASK {
        return true;
    }
    let said = value.trim_start_matches('[').trim_end_matches(']');
    let Some((class, number)) = said.strip_prefix("REDACTED:").and_then(|s| s.split_once(':')) else {
        return false;
    };
    let counted = !number.is_empty() && number.len() < 7 && number.bytes().all(|b| b.is_ascii_digit());
    counted && CLASSES.contains(class)
}

/// The end of a token whose first letters stand at `start..end`.
fn fixed_at(
    text: &str,
    start: usize,
    end: usize,
    rule: &Fixed,
    certain: bool,
    work: &mut Work,
) -> Result<Option<usize>, Blocked> {
    let (_, prefix, set, least) = *rule;
    let bytes = text.as_bytes();
    // Keywords are found in either case; here it matters.
    if text.get(start..end) != Some(prefix) || !shape::begins_word(bytes, start) {
        return Ok(None);
    }
    let (stop, letters) = over_lines(bytes, end, set, usize::from(least));
    // Charged whatever comes of it: a text of beginnings would otherwise be read once for each of them.
    work.spend(stop.saturating_sub(end))?;
    if letters < usize::from(least) {
        return Ok(None);
    }
    // In a set without dots and dashes, one more letter or digit is another word.
    if bytes.get(stop).is_some_and(u8::is_ascii_alphanumeric) {
        return Ok(None);
    }
    let Some(value) = text.get(end..stop) else {
        return Ok(None);
    };
    let varied = shape::entropy(value) > 1.5;
    let is_one =
        varied && (certain || shape::is_random(value) && shape::classes(value) >= 3 - usize_is_hex(set));
    Ok(is_one.then_some(stop))
}

/// Hexadecimal values have two classes at most.
const fn usize_is_hex(set: Set) -> u32 {
    matches!(set, Set::Hex | Set::Uuid | Set::Lower | Set::Upper) as u32
}

/// The end of a run of `set` and how many letters it has; a run that is too short goes on over a line's end.
fn over_lines(bytes: &[u8], at: usize, set: Set, least: usize) -> (usize, usize) {
    let mut end = shape::run(bytes, at, set);
    let mut letters = end - at;
    while letters < least {
        let rest = bytes.get(end..).unwrap_or_default();
        let slash = usize::from(rest.first() == Some(&b'\\'));
        let gap = rest
            .iter()
            .skip(slash)
            .take_while(|b| matches!(b, b'\n' | b'\r' | b' ' | b'\t'))
            .count();
        let breaks = rest.iter().skip(slash).take(gap).any(|b| *b == b'\n');
        let next = shape::run(bytes, end + slash + gap, set);
        let more = next - (end + slash + gap);
        // The next line must go on as this one ended: a token, not the first word of a sentence.
        let whole = bytes
            .get(next)
            .is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'\\'));
        if !breaks || more < 4 || !whole || letters == 0 {
            break;
        }
        letters += more;
        end = next;
    }
    (end, letters)
}

/// Whether no dot follows the letters at `at`: then no token of several parts begins there, nor within them.
fn is_single(text: &str, at: usize, single: &mut usize, work: &mut Work) -> Result<bool, Blocked> {
    if at < *single {
        return Ok(true);
    }
    let end = shape::run(text.as_bytes(), at, Set::Url);
    if text.as_bytes().get(end) == Some(&b'.') {
        // The pattern reads it again, from each place within it where one may begin.
        work.spend(end - at)?;
        return Ok(false);
    }
    *single = end;
    Ok(true)
}

fn form_at(
    text: &str,
    at: usize,
    form: &Form,
    pattern: &Regex,
    work: &mut Work,
) -> Result<Option<(usize, usize)>, Blocked> {
    work.spend(32)?;
    let mut from = at.saturating_sub(form.before);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let mut to = if form.after == 0 {
        text.len()
    } else {
        text.len().min(at + form.after)
    };
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    let Some(window) = text.get(from..to) else {
        return Ok(None);
    };
    let Some(found) = pattern.captures(window) else {
        return Ok(None);
    };
    // Charged whatever it is judged to be: a text may be full of gaps to be filled.
    let read = found.get(0).map_or(0, |all| all.len());
    look(read);
    work.spend(read)?;
    Ok(judge(form.check, &found).map(|(start, end)| (from + start, from + end)))
}

fn judge(check: Check, found: &Captures<'_>) -> Option<(usize, usize)> {
    let secret = found.name("v").or_else(|| found.get(0))?;
    let value = secret.as_str();
    let counts = match check {
        Check::Form => true,
        Check::NoPlaceholder => !shape::is_placeholder(value),
        Check::Token => {
            !shape::is_placeholder(value) && !shape::is_reference(value) && shape::looks_like_token(value)
        }
        Check::Jose => is_jose(value),
    };
    counts.then(|| (secret.start(), secret.end()))
}

/// Whether the first part says `alg`, as those of JWS and JWE do (RFC 7515, 7516).
fn is_jose(value: &str) -> bool {
    let head = value.split('.').next().unwrap_or_default();
    let decoded = URL_SAFE_NO_PAD.decode(head).unwrap_or_default();
    match serde_json::from_slice::<serde_json::Value>(&decoded) {
        Ok(header) => {
            header.get("alg").is_some() || header.get("enc").is_some() || header.get("typ").is_some()
        }
        // Cut or changed by somebody: two parts that begin as JSON does are enough.
        Err(_) => value.matches(".eyJ").count() > 0,
    }
}

fn named_at(
    text: &str,
    end: usize,
    rule: &Named,
    work: &mut Work,
) -> Result<Option<(usize, usize)>, Blocked> {
    let (_, _, set, least, most) = *rule;
    for (start, stop) in assigned::near(text, end, named::REACH) {
        work.spend(stop - start)?;
        let value = text.get(start..stop).unwrap_or_default();
        let shaped = (least..=most).contains(&value.len()) && value.bytes().all(|b| set.has(b));
        if shaped && !shape::is_words(value) && shape::entropy(value) >= 2.5 && shape::classes(value) >= 2 {
            return Ok(Some((start, stop)));
        }
    }
    Ok(None)
}

/// What is written in another way: base64, percent codes, JSON in a string of JSON.
fn hidden(
    text: &str,
    bare: bool,
    depth: usize,
    out: &mut Vec<(u8, Find)>,
    work: &mut Work,
) -> Result<(), Blocked> {
    let strings = structure::nested(text)
        .into_iter()
        .map(|((start, end), inner)| (start, end, Inner::Text(inner)));
    for (start, end, inner) in encoded::runs(text).into_iter().chain(strings) {
        let inner = match inner {
            Inner::Text(inner) => inner,
            Inner::Compressed if end - start >= 40 => {
                out.push((
                    6,
                    Find {
                        start,
                        end,
                        class: "compressed-data",
                        weight: Weight::Withheld,
                    },
                ));
                continue;
            }
            Inner::Compressed => continue,
        };
        // What is found in it hides all of it: which letters of the run say it is not told.
        let mut found = within(&inner, bare, depth + 1, work)?;
        found.sort_by_key(|(rank, find)| (std::cmp::Reverse(find.weight), *rank));
        if let Some((rank, first)) = found.first() {
            out.push((*rank, Find { start, end, ..*first }));
        }
    }
    Ok(())
}

/// Prefixes after which random letters are a digest.
const DIGESTS: &[&str] = &[
    "sha1", "sha224", "sha256", "sha384", "sha512", "md5", "h1", "etag",
];

/// Runs of letters that look random with no word beside them.
fn bare_runs(text: &str, out: &mut Vec<(u8, Find)>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes
            .get(at)
            .is_some_and(|b| Set::Url.has(*b) || matches!(b, b'+' | b'/'))
        {
            at += 1;
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let run = rest
            .iter()
            .take_while(|b| Set::Url.has(**b) || matches!(b, b'+' | b'/' | b'='))
            .count();
        let end = at + run;
        let value = text.get(at..end).unwrap_or_default();
        if run >= 24 && shape::is_bare_random(value) && !is_digest(text, at, value) {
            out.push((
                7,
                Find {
                    start: at,
                    end,
                    class: "high-entropy",
                    weight: Weight::Withheld,
                },
            ));
        }
        at = end;
    }
}

/// Whether what stands before a run, or its own front, says that it is a digest or a public key.
fn is_digest(text: &str, at: usize, value: &str) -> bool {
    let before = text
        .get(at.saturating_sub(8)..at)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let before = before.trim_end_matches([':', '-', '=', '"', ' ', '/']);
    let front = value.to_ascii_lowercase();
    // SSH public keys and X.509 certificates in base64 are public.
    DIGESTS.iter().any(|word| {
        before.ends_with(word)
            || front.starts_with(&format!("{word}-"))
            || front.starts_with(&format!("{word}="))
    }) || value.starts_with("AAAAB3NzaC1")
        || value.starts_with("AAAAC3NzaC1")
        || value.starts_with("AAAAE2VjZHNh")
        || value.starts_with("MII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles_and_every_keyword_is_lower_case() {
        assert!(ENGINE.is_some());
        let words = FORMS
            .iter()
            .flat_map(|form| form.keywords)
            .chain(NAMED.iter().flat_map(|rule| rule.1));
        for word in words {
            assert_eq!(*word, word.to_ascii_lowercase());
        }
        let mut all: Vec<_> = classes().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert!(all.len() >= 150 && count >= all.len(), "{} classes", all.len());
    }
}
