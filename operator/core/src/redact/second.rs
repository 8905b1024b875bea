//! The last look at a body before it leaves: a detector that was written without the first one and shares nothing with
//! it, neither code nor rules. It knows no vendors. It asks what a text would have to look like if the first detector had
//! missed something: letters no person would write, text inside base64, a password in an address, armour.
//!
//! It replaces nothing. **Invariant:** whatever it does not like, cannot read or finds too long is a [`Stop`], and then
//! nothing is sent.

use serde_json::Value;

#[path = "second_tokens.rs"]
mod tokens;

/// Longest body.
pub const MAX_BODY: usize = 4 * 1024 * 1024;
/// Encodings within encodings.
const MAX_LAYERS: u8 = 4;
/// Longest mark, with room.
const MAX_MARK: usize = 96;

/// Why a body must not be sent. It never says what was found, only of what sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// More than [`MAX_BODY`].
    #[error("the body has more than {MAX_BODY} bytes")]
    TooLong,
    /// No UTF-8, or no JSON.
    #[error("the body cannot be read")]
    Unreadable,
    /// It holds what looks like a secret.
    #[error("the body holds what looks like a secret: {0}")]
    Suspicious(&'static str),
}

/// Looks at a body of JSON as it would be sent.
///
/// # Errors
/// When it must not be sent.
pub fn judge(body: &[u8]) -> Result<(), Stop> {
    if body.len() > MAX_BODY {
        return Err(Stop::TooLong);
    }
    let tree: Value = serde_json::from_slice(body).map_err(|_| Stop::Unreadable)?;
    descend(&tree, "", 0)
}

fn descend(node: &Value, field: &str, layer: u8) -> Result<(), Stop> {
    match node {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(said) => {
            if told(field) && odd(&tokens::replaced(said)) {
                return Err(Stop::Suspicious("a field named like a secret"));
            }
            prose(said, layer)
        }
        Value::Array(items) => items.iter().try_for_each(|item| descend(item, field, layer)),
        Value::Object(fields) => {
            let secret = fields.get("kind").and_then(Value::as_str) == Some("Secret");
            for (name, item) in fields {
                if secret && matches!(name.as_str(), "data" | "stringData") && unmasked(item) {
                    return Err(Stop::Suspicious("data of a Kubernetes Secret"));
                }
                prose(name, layer)?;
                descend(item, name, layer)?;
            }
            Ok(())
        }
    }
}

/// Whether anything below still has a value.
fn unmasked(node: &Value) -> bool {
    match node {
        Value::String(said) => !said.is_empty() && !masked(said),
        Value::Array(items) => items.iter().any(unmasked),
        Value::Object(fields) => fields.values().any(unmasked),
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn masked(said: &str) -> bool {
    mark(said).is_some_and(|end| end == said.len()) || said.chars().all(|c| c == '*')
}

/// The length of the mark that a text begins with: `[REDACTED:class:n]` or `[REDACTED]`. What only looks like one hides nothing.
fn mark(said: &str) -> Option<usize> {
    // No mark is longer; a text of beginnings of marks would be read to its end for each of them.
    let said = said.get(..said.floor_char_boundary(MAX_MARK))?;
    let rest = said.strip_prefix("[REDACTED")?;
    let head = said.len() - rest.len();
    if rest.starts_with(']') {
        return Some(head + 1);
    }
    let (class, tail) = rest.strip_prefix(':')?.split_once(':')?;
    let number = tail.split(']').next().filter(|n| n.len() < tail.len())?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let digits = class.bytes().filter(u8::is_ascii_digit).count();
    let good = (1..=48).contains(&class.len())
        && class.bytes().all(plain)
        && digits <= 3
        && (1..7).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit());
    good.then_some(head + 1 + class.len() + 1 + number.len() + 1)
}

/// Looks at one text.
fn prose(said: &str, layer: u8) -> Result<(), Stop> {
    if layer > MAX_LAYERS {
        return Err(Stop::Suspicious("too many encodings within each other"));
    }
    let seen: String;
    let said = if said.is_ascii() {
        said
    } else {
        // Fillers nobody sees may stand within a secret; letters of other scripts do not.
        seen = said
            .chars()
            .filter(|c| c.is_ascii() || c.is_alphanumeric())
            .collect();
        &seen
    };
    if said.contains("-----BEGIN") && said.contains("PRIVATE") {
        return Err(Stop::Suspicious("a private key"));
    }
    address(said)?;
    secret_manifest(said)?;
    let mut before = Before::default();
    for (start, atom) in atoms(said) {
        letters(said, start, atom, &before, layer)?;
        before.push(said, start, atom);
    }
    if let Some(plain) = unescape(said) {
        prose(&plain, layer + 1)?;
    }
    // JSON written into a string.
    if said.contains('{')
        && said.contains('"')
        && let Ok(tree @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(said)
    {
        descend(&tree, "", layer + 1)?;
    }
    Ok(())
}

/// Stretches without white space, quotes, brackets or assignment.
fn atoms(said: &str) -> impl Iterator<Item = (usize, &str)> {
    let part = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                '+' | '/' | '_' | '-' | '.' | '~' | '!' | '#' | '$' | '%' | '&' | '*' | '^' | '@'
            )
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = said.get(at..)?;
        let skip = rest.find(part)?;
        let tail = rest.get(skip..)?;
        let length = tail.find(|c: char| !part(c)).unwrap_or(tail.len());
        let start = at + skip;
        at = start + length;
        Some((start, tail.get(..length)?))
    })
}

/// The words right before one, and whether something is given to them.
#[derive(Default)]
struct Before<'t> {
    words: [&'t str; 4],
    end: usize,
    /// The last word is a token that is given to a name of a secret, itself or through the tokens it is joined to.
    given: bool,
}

impl<'t> Before<'t> {
    fn push(&mut self, said: &'t str, start: usize, atom: &'t str) {
        self.given = atom.contains("KCID_") && self.gives(said, start);
        // A new line of another subject.
        if said.get(self.end..start).is_some_and(|gap| gap.contains("\n\n")) {
            self.words = Default::default();
        }
        self.words.rotate_left(1);
        self.words[3] = atom;
        self.end = start + atom.len();
    }

    /// Whether what comes at `start` is given to a name that tells a secret.
    fn gives(&self, said: &str, start: usize) -> bool {
        let gap = said.get(self.end..start).unwrap_or_default();
        let [_, one, two, last] = self.words;
        let verb = matches!(last, "is" | "to" | "as" | "was" | "equals");
        let sign = gap.contains([':', '=']) && !gap.contains('\n');
        // `password: TOKEN:rest`: a token that is given does not end what is given.
        let beside = last.contains("KCID_") && !gap.contains(char::is_whitespace);
        (sign && told(last))
            || (beside && (self.given || told(two) || told(one)))
            || (verb && (told(two) || told(one)))
            || last.starts_with("--") && told(last) && !gap.contains('\n')
    }

    /// Whether a digest was announced.
    fn digest(&self) -> bool {
        let last = self.words[3].to_ascii_lowercase();
        [
            "sha", "digest", "md5", "uid", "hash", "commit", "revision", "etag", "image",
        ]
        .iter()
        .any(|word| last.contains(word))
    }
}

/// Whether a name tells that its value is a secret.
fn told(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let flat: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let tells = [
        "passw",
        "pwd",
        "passphrase",
        "secret",
        "token",
        "credential",
        "apikey",
        "accesskey",
        "privatekey",
        "bearer",
    ];
    let only = [
        "max", "tokens", "ref", "name", "path", "seconds", "type", "count", "limit",
    ];
    tells.iter().any(|word| flat.contains(word))
        && !only
            .iter()
            .any(|word| flat.ends_with(word) || flat.starts_with("max"))
}

/// A value nobody would give a plain name: letters and digits or signs mixed, and no mask.
fn odd(said: &str) -> bool {
    let letters = said.chars().any(|c| c.is_ascii_alphabetic());
    let digits = said.chars().any(|c| c.is_ascii_digit());
    let both =
        said.chars().any(|c| c.is_ascii_lowercase()) && said.chars().skip(1).any(|c| c.is_ascii_uppercase());
    let plain = said
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '/' | ':'));
    let name = plain
        && said.len() <= 63
        && !said.chars().any(|c| c.is_ascii_uppercase())
        && said.split(['-', '.', '/', '_', ':']).all(part_of_name)
        && (said.contains(['-', '.', '/']) || said.len() < 6);
    said.len() >= 6
        && letters
        && (digits || both && !camel(said) || !plain)
        && !name
        && !masked(said)
        && !said.starts_with(['$', '<', '{', '%', '['])
        && !said.contains(' ')
}

/// A word, a number, or a version.
fn part_of_name(part: &str) -> bool {
    let version = part.trim_start_matches('v');
    part.chars().all(char::is_alphabetic) || version.len() < 4 && version.chars().all(|c| c.is_ascii_digit())
}

/// Words written together, each with a capital: a name of a program, not letters by chance.
fn camel(said: &str) -> bool {
    let capitals = said.chars().filter(char::is_ascii_uppercase).count();
    said.chars().all(|c| c.is_ascii_alphabetic()) && capitals * 4 <= said.len()
}

fn letters(said: &str, start: usize, atom: &str, before: &Before<'_>, layer: u8) -> Result<(), Stop> {
    if start
        .checked_sub("[REDACTED:".len())
        .and_then(|from| said.get(from..))
        .is_some_and(|from| mark(from).is_some())
    {
        return Ok(());
    }
    // What stands beside a token is looked at as it stands, and without the signs that join it to the token.
    let shown = tokens::replaced(atom);
    if before.gives(said, start) && odd(&shown) && !reference(said, start + atom.len(), &shown) {
        return Err(Stop::Suspicious("a value given to the name of a secret"));
    }
    parts(&shown, before, layer)?;
    tokens::beside(atom).try_for_each(|piece| parts(piece, before, layer))
}

fn parts(atom: &str, before: &Before<'_>, layer: u8) -> Result<(), Stop> {
    for part in atom.split(['.', '@', '%', '&', '!', '#', '$', '*', '^', '~']) {
        if part.len() >= 16 {
            match peel(part) {
                Peeled::Text(inner) if inner.len() >= 10 => {
                    if inner.contains("\"alg\"") || inner.contains(':') || inner.contains('=') {
                        return Err(Stop::Suspicious("text within base64"));
                    }
                    prose(&inner, layer + 1)?;
                }
                Peeled::Packed => return Err(Stop::Suspicious("packed data")),
                Peeled::Text(_) | Peeled::No => {}
            }
        }
        for piece in part.split(['-', '_']) {
            chance(piece, before)?;
        }
        // Letters by chance with dashes or slashes among them.
        let flat: String = part.chars().filter(char::is_ascii_alphanumeric).collect();
        if flat.len() >= 24
            && flat.len() * 10 >= part.len() * 9
            && mixed(&flat)
            && switches(&flat) * 3 >= flat.len()
        {
            return Err(Stop::Suspicious("random letters"));
        }
    }
    Ok(())
}

/// A place, not a value: a path, a URL, an image.
fn reference(said: &str, end: usize, atom: &str) -> bool {
    let path = atom.starts_with(['/', '.', '~']) && !mixed(atom);
    path || said.get(end..).is_some_and(|after| after.starts_with("://")) || atom.starts_with("sha256")
}

fn mixed(piece: &str) -> bool {
    piece.bytes().any(|b| b.is_ascii_lowercase())
        && piece.bytes().any(|b| b.is_ascii_uppercase())
        && piece.bytes().filter(u8::is_ascii_digit).count() >= 2
}

/// How often upper case, lower case and digits take turns.
fn switches(piece: &str) -> usize {
    let sort = |b: u8| {
        if b.is_ascii_digit() {
            0
        } else {
            1 + u8::from(b.is_ascii_uppercase())
        }
    };
    let bytes = piece.as_bytes();
    bytes
        .iter()
        .zip(bytes.iter().skip(1))
        .filter(|(a, b)| sort(**a) != sort(**b))
        .count()
}

/// Whether letters and digits stand as chance puts them.
fn chance(piece: &str, before: &Before<'_>) -> Result<(), Stop> {
    let n = piece.len();
    if n < 16 {
        return Ok(());
    }
    let hexadecimal = piece.bytes().all(|b| b.is_ascii_hexdigit());
    let turns = switches(piece);
    let digits = piece.bytes().filter(u8::is_ascii_digit).count();
    if hexadecimal {
        // Digests are what manifests are full of; a name of a secret beside them says otherwise.
        let named = before
            .words
            .iter()
            .any(|word| told(word) || word.eq_ignore_ascii_case("key"));
        let digest = matches!(n, 32 | 40 | 64 | 96 | 128) && !named || before.digest();
        return if n >= 24 && !digest && turns * 4 >= n {
            Err(Stop::Suspicious("hexadecimal letters that are no digest"))
        } else {
            Ok(())
        };
    }
    let upper = piece.bytes().any(|b| b.is_ascii_uppercase());
    let lower = piece.bytes().any(|b| b.is_ascii_lowercase());
    let random = if upper && lower {
        n >= 20 && digits >= 1 && turns * 4 >= n
    } else {
        n >= 16 && digits * 8 >= n && turns * 4 >= n
    };
    if random {
        Err(Stop::Suspicious("random letters"))
    } else {
        Ok(())
    }
}

/// `scheme://user:password@host`.
fn address(said: &str) -> Result<(), Stop> {
    for part in said.split("://").skip(1) {
        let authority = part
            .split(['/', ' ', '\n', '"', '\'', '<', '>'])
            .next()
            .unwrap_or_default();
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some((_, word)) = user.split_once(':')
            && !word.is_empty()
            && !masked(word)
            && !word.starts_with(['$', '{', '%'])
        {
            return Err(Stop::Suspicious("a password in an address"));
        }
    }
    Ok(())
}

/// A manifest of a Secret with values, in YAML.
fn secret_manifest(said: &str) -> Result<(), Stop> {
    if !said
        .lines()
        .any(|line| line.trim() == "kind: Secret" || line.trim() == "- kind: Secret")
    {
        return Ok(());
    }
    let mut depth = None;
    for line in said.lines() {
        let indent = line.len() - line.trim_start().len();
        let word = line.trim();
        if matches!(word, "data:" | "stringData:") {
            depth = Some(indent);
        } else if depth.is_some_and(|depth| indent <= depth) {
            depth = None;
        } else if depth.is_some() {
            let value = word.split_once(':').map_or(word, |(_, value)| value.trim());
            if !value.is_empty() && !masked(value.trim_matches(['"', '\''])) {
                return Err(Stop::Suspicious("data of a Kubernetes Secret"));
            }
        }
    }
    Ok(())
}

enum Peeled {
    Text(String),
    Packed,
    No,
}

/// Reads base64 by hand, either alphabet.
fn peel(part: &str) -> Peeled {
    let mut bits = 0_u32;
    let mut count = 0;
    let mut out: Vec<u8> = Vec::with_capacity(part.len());
    for b in part.bytes() {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return Peeled::No,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
            bits &= (1 << count) - 1;
        }
    }
    if out.starts_with(&[31, 139]) {
        return Peeled::Packed;
    }
    let readable = |b: &u8| (32..127).contains(b) || matches!(b, 9 | 10 | 13);
    match String::from_utf8(out) {
        Ok(text) if text.bytes().all(|b| readable(&b)) => Peeled::Text(text),
        _ => Peeled::No,
    }
}

/// Percent codes and escapes, undone; `None` where there are none.
fn unescape(said: &str) -> Option<String> {
    let mut changed = false;
    let mut out: Vec<u8> = Vec::with_capacity(said.len());
    let mut bytes = said.bytes();
    while let Some(b) = bytes.next() {
        let mut ahead = bytes.clone();
        let pair = (ahead.next(), ahead.next());
        match (b, pair) {
            (b'%', (Some(high), Some(low))) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |b: u8| char::from(b).to_digit(16).unwrap_or(0);
                out.push(u8::try_from(digit(high) * 16 + digit(low)).unwrap_or(b' '));
                bytes = ahead;
                changed = true;
            }
            (b'\\', (Some(b'n' | b'r' | b't'), _)) => {
                out.push(b'\n');
                bytes.next();
                changed = true;
            }
            (b'\\', (Some(b'"' | b'\\' | b'/'), _)) => changed = true,
            _ => out.push(b),
        }
    }
    changed.then(|| String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
#[path = "second_tests.rs"]
mod tests;
