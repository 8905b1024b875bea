//! What values are made of: sets of characters, and how random a value looks.

use super::work::look;

/// A set of ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// Letters and digits.
    Alnum,
    /// Lower case letters and digits.
    Lower,
    /// Upper case letters and digits.
    Upper,
    /// Hexadecimal digits.
    Hex,
    /// Letters, digits and `_`.
    Word,
    /// Letters, digits, `-` and `_`: URL-safe base64.
    Url,
    /// The same and `.`.
    Dotted,
    /// Letters, digits, `+`, `/` and `=`: base64.
    Base64,
    /// Letters, digits, `+`, `/`, `=`, `-`, `_`, `.`, `~`, `%` and `:`: what opaque tokens are made of.
    Opaque,
    /// Hexadecimal digits and `-`.
    Uuid,
}

impl Set {
    /// Whether a byte belongs to it.
    pub(super) const fn has(self, b: u8) -> bool {
        match self {
            Self::Alnum => b.is_ascii_alphanumeric(),
            Self::Lower => b.is_ascii_lowercase() || b.is_ascii_digit(),
            Self::Upper => b.is_ascii_uppercase() || b.is_ascii_digit(),
            Self::Hex => b.is_ascii_hexdigit(),
            Self::Word => b.is_ascii_alphanumeric() || b == b'_',
            Self::Url => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'),
            Self::Dotted => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'),
            Self::Base64 => b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='),
            Self::Opaque => {
                b.is_ascii_alphanumeric()
                    || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_' | b'.' | b'~' | b'%' | b':')
            }
            Self::Uuid => b.is_ascii_hexdigit() || b == b'-',
        }
    }
}

/// One past the last byte of the run of `set` that begins at `at`.
pub(super) fn run(bytes: &[u8], at: usize, set: Set) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let count = rest.iter().take_while(|b| set.has(**b)).count();
    look(count);
    at + count
}

/// Whether a token may begin at `at`: nothing before it belongs to the same word. A letter that is part of an escape
/// (`\n`, `\t`) or of a percent code (`%3D`) does not count.
pub(super) fn begins_word(bytes: &[u8], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).and_then(|i| bytes.get(i)).copied();
    let Some(last) = before(1) else { return true };
    if !last.is_ascii_alphanumeric() {
        return true;
    }
    let escape = matches!(last, b'n' | b'r' | b't') && before(2) == Some(b'\\');
    let code = before(3) == Some(b'%')
        && last.is_ascii_hexdigit()
        && before(2).is_some_and(|b| b.is_ascii_hexdigit());
    escape || code
}

/// What a gap to be filled begins with.
pub(super) const fn opens_gap(first: char) -> bool {
    matches!(first, '<' | '$' | '{' | '%' | '[')
}

/// `<password>`, `$TOKEN`, `${x}`, `$(x)`, `{{ x }}`, `***`, `xxxx`, `...`, a mask of ours: a gap to be filled.
pub(super) fn is_placeholder(value: &str) -> bool {
    let first = value.chars().next();
    first.is_none_or(opens_gap) || value.chars().all(|c| Some(c) == first) || value.starts_with("...")
}

/// A path, a URL, a digest or an image: says where something stands.
pub(super) fn is_reference(value: &str) -> bool {
    let path = value.starts_with(['/', '~', '.'])
        && value
            .split('/')
            .all(|part| part.len() < 40 && (part.len() < 20 || is_words(part)));
    path || value.starts_with("sha256:")
        || value.starts_with(['-', '.', '~'])
        || value.contains("://")
        || value.contains("@sha256:")
}

/// How many of lower case, upper case, digits and other characters occur.
pub(super) fn classes(value: &str) -> u32 {
    let mut seen = [false; 4];
    for b in value.bytes() {
        let class = match b {
            b'a'..=b'z' => 0,
            b'A'..=b'Z' => 1,
            b'0'..=b'9' => 2,
            _ => 3,
        };
        seen[class] = true;
    }
    seen.iter().map(|s| u32::from(*s)).sum()
}

/// Shannon entropy in bits a byte.
pub(super) fn entropy(value: &str) -> f64 {
    look(value.len());
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let length = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX).max(1));
    let part = |count: &u32| {
        let share = f64::from(*count) / length;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(part).sum()
}

/// Long, of high entropy, and of more than one class: no word or name.
pub(super) fn is_random(value: &str) -> bool {
    value.len() >= 20 && entropy(value) >= 3.0 && classes(value) >= 2
}

/// Words joined by punctuation (`reset-by-admin.`): prose or a name, not a chosen password.
pub(super) fn is_words(value: &str) -> bool {
    look(value.len());
    let joiner = |c: char| matches!(c, '-' | '_' | '.' | '/' | ':' | '?' | '!' | ')' | '(');
    value.split(joiner).all(|word| {
        let mut letters = word.chars();
        let capital_first = letters.next().is_none_or(char::is_alphabetic);
        capital_first && (letters.clone().all(char::is_lowercase) || letters.all(char::is_uppercase))
    })
}

/// What a person chooses as a password: mixed characters, or long and random. Plain words do not count.
pub(super) fn looks_chosen(value: &str) -> bool {
    !is_words(value) && (classes(value) >= 2 || is_random(value))
}

/// What a machine makes as a token. The name of an object (`db-token-x7k2p`, `v1.2.3`) does not count.
pub(super) fn looks_like_token(value: &str) -> bool {
    if is_words(value) {
        return false;
    }
    let name =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '/' | ':' | '_');
    if !value.chars().all(name) {
        return classes(value) >= 3 || is_random(value);
    }
    let long_run = |run: &str| run.len() >= 16 && classes(run) >= 2 && entropy(run) >= 3.0;
    value.split(|c: char| !c.is_ascii_alphanumeric()).any(long_run) || is_uuid(value)
}

pub(super) fn is_uuid(value: &str) -> bool {
    let lengths = value.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && value.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// Random letters of both cases and digits without any word beside them that says so: what generators make, and no
/// name, path, digest or camel-case word. Much stricter than the others, because nothing else speaks for it.
pub(super) fn is_bare_random(value: &str) -> bool {
    if value.len() < 24 || value.len() > 512 || entropy(value) < 3.8 {
        return false;
    }
    let bytes = value.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let upper = bytes.iter().filter(|b| b.is_ascii_uppercase()).count();
    let lower = bytes.iter().filter(|b| b.is_ascii_lowercase()).count();
    let kind = |b: u8| (b.is_ascii_digit(), b.is_ascii_uppercase(), b.is_ascii_lowercase());
    let changes = bytes
        .windows(2)
        .filter(|pair| kind(pair[0]) != kind(pair[1]))
        .count();
    let longest = value
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(str::len)
        .max()
        .unwrap_or(0);
    digits >= 2 && upper >= 3 && lower >= 3 && longest >= 8 && changes * 3 >= value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_digests_are_neither_tokens_nor_bare_random() {
        for value in [
            "db-token-x7k2p",
            "nginx-7c5ddbdf54-abcde",
            "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
            "horizontalPodAutoscalerDownscaleStabilization",
            "ReplicaSetUpdatedProgressDeadlineExceeded2",
            "registry.example.org/team/app",
            "projects/my-project-123/locations/europe-west1/clusters/prod1",
        ] {
            assert!(!is_bare_random(value), "{value}");
        }
        assert!(is_bare_random("Zx8Kq2LmW9vTr4Yp6BnD1sGf7HjC3uEa"));
        assert!(is_reference("/var/run/secrets/token"));
        assert!(!is_reference("/7HjC3uEaZx8Kq2LmW9vTr4Yp6BnD1sGf7HjC3uEa+w="));
    }

    #[test]
    fn a_word_begins_after_an_escape_or_a_percent_code() {
        assert!(begins_word(br"\nghp_", 2));
        assert!(begins_word(b"%3Dghp_", 3));
        assert!(begins_word(b"ghp_", 0));
        assert!(!begins_word(b"xghp_", 1));
    }
}
