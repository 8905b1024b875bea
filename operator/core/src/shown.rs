//! Names of people, as messages show them: what cannot be told apart by eye stands as an escape.
//!
//! **Invariant:** two different usernames are never shown as the same text, and none changes the order or the colours of
//! what stands around it.

use std::borrow::Cow;

/// Last letter that stands as it is (Latin Extended-B); beyond begin the scripts that look like others.
const LAST_LATIN: char = '\u{24F}';

/// A username or group. Letters of Latin script stand as they are; everything else (control, bidirectional, invisible
/// and look-alike characters, and a backslash that could be taken for such an escape) as `\u{..}`.
#[must_use]
pub fn identity(name: &str) -> Cow<'_, str> {
    let looks_escaped = name.contains("\\u{");
    let plain = |c: char| plain(c) && !(looks_escaped && c == '\\');
    if name.chars().all(plain) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 16);
    for c in name.chars() {
        if plain(c) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    Cow::Owned(out)
}

fn plain(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic() || !c.is_ascii() && c <= LAST_LATIN && c.is_alphabetic()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn look_alike_bidi_and_control_characters_stand_as_escapes() {
        for (name, shown) in [
            ("alice", "alice"),
            ("Jürgen Müller", "Jürgen Müller"),
            ("oidc:bob@example.org", "oidc:bob@example.org"),
            ("\u{430}lice", "\\u{430}lice"),
            ("bob\u{202e}nimda", "bob\\u{202e}nimda"),
            ("bob\u{200b}", "bob\\u{200b}"),
            ("bob\u{1b}[31m", "bob\\u{1b}[31m"),
            ("bob\n", "bob\\u{a}"),
            ("bob\u{a0}", "bob\\u{a0}"),
            ("CORP\\bob", "CORP\\bob"),
            ("a\\u{430}", "a\\u{5c}u{430}"),
        ] {
            assert_eq!(identity(name), shown);
        }
    }

    /// Short names of the characters that could make two of them look the same.
    const NAMES: &str = "[a\\\\u{}43\u{430}\u{202e}]{0,8}";

    proptest! {
        #[test]
        fn different_names_are_shown_differently(a in NAMES, b in NAMES) {
            prop_assert_eq!(a == b, identity(&a) == identity(&b));
            prop_assert!(identity(&a).chars().all(plain));
        }
    }
}
