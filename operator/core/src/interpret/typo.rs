//! Typing errors in known words: one edit from exactly one verb or kind. Objects' names are never corrected.

use super::lexicon::Lexicon;
use super::vocab::{self, Form, Verb};

/// Shorter words have too many neighbours.
const SHORTEST: usize = 4;

/// Whether two words are one insertion, deletion, substitution or transposition apart.
fn one_edit(written: &str, known: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (written.chars().collect(), known.chars().collect());
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = |v: &[char], from: usize| v.get(from..).unwrap_or_default().to_vec();
    match a.len().cmp(&b.len()) {
        std::cmp::Ordering::Less => a.len() + 1 == b.len() && tail(&a, same) == tail(&b, same + 1),
        std::cmp::Ordering::Greater => b.len() + 1 == a.len() && tail(&a, same + 1) == tail(&b, same),
        std::cmp::Ordering::Equal => {
            let swapped = a.get(same) == b.get(same + 1) && a.get(same + 1) == b.get(same);
            a != b
                && (tail(&a, same + 1) == tail(&b, same + 1)
                    || (swapped && b.len() > same + 1 && tail(&a, same + 2) == tail(&b, same + 2)))
        }
    }
}

/// `deletes`, `scaled`, `restarter` are words of their own, not typing errors.
fn is_inflection(written: &str, known: &str) -> bool {
    matches!(written.strip_prefix(known), Some("s" | "d" | "r" | "n"))
}

fn may_be_typo(key: &str) -> bool {
    key.chars().count() >= SHORTEST
        && key.chars().all(char::is_alphabetic)
        && !vocab::NEIGHBOURS.contains(&key)
}

/// The one verb a mistyped word can mean, with the word it was read as.
pub(super) fn closest_verb(key: &str) -> Option<(Verb, &'static str)> {
    if !may_be_typo(key) || vocab::is_reserved(key) {
        return None;
    }
    let near = |known: &&&str| one_edit(key, known) && !is_inflection(key, known);
    let found: Vec<&'static str> = vocab::CORRECTABLE.iter().filter(near).copied().collect();
    let [word] = found.as_slice() else { return None };
    let (verb, _) = vocab::verb_at(Form::Base, |i| if i == 0 { word } else { "" })?;
    Some((verb, word))
}

/// The one kind a mistyped word can mean.
pub(super) fn closest_kind<'l>(key: &str, lexicon: &'l Lexicon) -> Option<&'l str> {
    if !may_be_typo(key) {
        return None;
    }
    let near: Vec<(&str, usize)> = lexicon
        .correctable()
        .filter(|(word, _)| word.len() >= 3 && one_edit(key, word))
        .collect();
    let (_, kind) = near.first()?;
    if near.iter().any(|(_, other)| other != kind) {
        return None;
    }
    // `podd` may be `pod` or `pods`; both are the same kind, and the longer reading keeps the plural.
    near.iter().map(|(word, _)| *word).max_by_key(|word| word.len())
}

/// A word of the grammar one edit away, for words that must be one of a few (`replicas`, `namespace`).
pub(super) fn is_near(key: &str, known: &[&str]) -> bool {
    may_be_typo(key)
        && known
            .iter()
            .any(|k| k.len() > SHORTEST && one_edit(key, k) && !is_inflection(key, k))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_edit_is_insert_delete_substitute_or_transpose() {
        let cases = [
            ("sclae", "scale", true),
            ("scal", "scale", true),
            ("scalee", "scale", true),
            ("scape", "scale", true),
            ("scale", "scale", false),
            ("sacel", "scale", false),
            ("start", "restart", false),
            ("", "a", true),
        ];
        for (a, b, near) in cases {
            assert_eq!(one_edit(a, b), near, "{a} {b}");
        }
    }

    #[test]
    fn corrects_verbs_only_when_exactly_one_is_near() {
        let read = |w| closest_verb(w).map(|(_, word)| word);
        assert_eq!(read("sclae"), Some("scale"));
        assert_eq!(read("delte"), Some("delete"));
        assert_eq!(read("restrat"), Some("restart"));
        for own_word in [
            "ucordon",
            "scaled",
            "deletes",
            "last",
            "stale",
            "pick",
            "dlt",
            "remote",
            "frobnicate",
        ] {
            assert_eq!(read(own_word), None, "{own_word}");
        }
    }

    #[test]
    fn corrects_kinds_only_when_exactly_one_is_near() {
        let lexicon = Lexicon::builtin();
        assert_eq!(closest_kind("deploymnts", &lexicon), Some("deployments"));
        assert_eq!(closest_kind("podds", &lexicon), Some("pods"));
        for own_word in ["nods", "web", "jbs", "rol"] {
            assert_eq!(closest_kind(own_word, &lexicon), None, "{own_word}");
        }
    }
}
