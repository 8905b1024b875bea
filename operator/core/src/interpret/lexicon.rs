//! The kinds an interpreter knows, and the words for them.
//!
//! Built once per cluster from discovery by the caller (kinds of CustomResourceDefinitions included) and shared by
//! all turns. **Invariant:** no word of the grammar (`image`, `no`, `app`) is ever a kind in a sentence.

use std::collections::BTreeMap;

use super::{kinds, vocab};

/// One kind, as discovery describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// API group; empty for the core group.
    pub group: String,
    /// Preferred version.
    pub version: String,
    /// Kind, `Deployment`.
    pub kind: String,
    /// Plural resource name, `deployments`.
    pub plural: String,
    /// Singular name, `deployment`; may be empty, as some API servers leave it.
    pub singular: String,
    /// Short names, `deploy`.
    pub short_names: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    words: Vec<String>,
    kind: usize,
    plural: bool,
}

/// A kind found in the prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct KindMatch<'a> {
    /// The kind.
    pub(super) info: &'a KindInfo,
    /// How many tokens its words take.
    pub(super) len: usize,
    /// Whether the plural form was used.
    pub(super) plural: bool,
}

/// All words for all kinds.
#[derive(Clone, Debug)]
pub struct Lexicon {
    kinds: Vec<KindInfo>,
    /// Entries by their first word, longest first.
    words: BTreeMap<String, Vec<Entry>>,
    /// `plural.group` and `singular.group`, and every single word, also those that sentences do not use.
    exact: BTreeMap<String, usize>,
}

impl Lexicon {
    /// Builds the lexicon. Where two kinds claim a word, the earlier one keeps it: give built-in kinds first.
    #[must_use]
    pub fn new(kinds: Vec<KindInfo>) -> Self {
        let mut lexicon = Self {
            kinds: Vec::new(),
            words: BTreeMap::new(),
            exact: BTreeMap::new(),
        };
        for info in kinds {
            lexicon.add(info);
        }
        for (words, kind, plural) in kinds::EVERYDAY {
            if let Some(at) = lexicon.kinds.iter().position(|k| k.kind == *kind) {
                lexicon.add_words(words, at, *plural);
            }
        }
        lexicon
    }

    /// The kinds every cluster has.
    #[must_use]
    pub fn builtin() -> Self {
        Self::new(kinds::builtin())
    }

    /// The list behind [`Lexicon::builtin`], to put discovered kinds after.
    #[must_use]
    pub fn builtin_kinds() -> Vec<KindInfo> {
        kinds::builtin()
    }

    fn add(&mut self, info: KindInfo) {
        if self
            .kinds
            .iter()
            .any(|k| k.group == info.group && k.kind == info.kind)
        {
            return;
        }
        let at = self.kinds.len();
        let lower = info.kind.to_lowercase();
        let singular = if info.singular.is_empty() {
            lower.clone()
        } else {
            info.singular.to_lowercase()
        };
        let plural = info.plural.to_lowercase();
        let spaced = camel_words(&info.kind);
        self.add_words(&plural, at, true);
        self.add_words(&singular, at, false);
        self.add_words(&lower, at, false);
        self.add_words(&spaced, at, false);
        self.add_words(&plural_of(&spaced, &plural), at, true);
        self.add_words(&spaced.replace(' ', "-"), at, false);
        for short in &info.short_names {
            self.add_words(&short.to_lowercase(), at, false);
            if short.len() > 1 && !short.ends_with('s') {
                self.add_words(&format!("{}s", short.to_lowercase()), at, true);
            }
        }
        if !info.group.is_empty() {
            for name in [&plural, &singular] {
                self.exact.entry(format!("{name}.{}", info.group)).or_insert(at);
                self.exact
                    .entry(format!("{name}.{}.{}", info.version, info.group))
                    .or_insert(at);
            }
        }
        self.kinds.push(info);
    }

    fn add_words(&mut self, words: &str, kind: usize, plural: bool) {
        let list: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let Some(first) = list.first().cloned() else {
            return;
        };
        if list.len() == 1 {
            self.exact.entry(first.clone()).or_insert(kind);
            if vocab::is_reserved(&first) {
                return;
            }
        }
        let entries = self.words.entry(first).or_default();
        if entries.iter().any(|e| e.words == list) {
            return;
        }
        entries.push(Entry {
            words: list,
            kind,
            plural,
        });
        entries.sort_by_key(|e| std::cmp::Reverse(e.words.len()));
    }

    /// The kind whose words begin at the first of `keys`, the longest one.
    pub(super) fn at<'k>(&self, keys: impl Fn(usize) -> &'k str) -> Option<KindMatch<'_>> {
        if let Some(entries) = self.words.get(keys(0)) {
            let entry = entries
                .iter()
                .find(|e| e.words.iter().enumerate().all(|(i, w)| keys(i) == w));
            if let Some(entry) = entry {
                let info = self.kinds.get(entry.kind)?;
                return Some(KindMatch {
                    info,
                    len: entry.words.len(),
                    plural: entry.plural,
                });
            }
        }
        let key = keys(0);
        let info = if key.contains('.') { self.exact(key) } else { None }?;
        Some(KindMatch {
            info,
            len: 1,
            plural: key.starts_with(&info.plural.to_lowercase()),
        })
    }

    /// A kind by one exact word, as in `deploy/nginx` or a kubectl line.
    pub(super) fn exact(&self, word: &str) -> Option<&KindInfo> {
        self.exact
            .get(&word.to_lowercase())
            .and_then(|at| self.kinds.get(*at))
    }

    /// A kind by its name, `Node`.
    pub(super) fn by_kind(&self, kind: &str) -> Option<&KindInfo> {
        self.kinds.iter().find(|k| k.kind == kind)
    }

    /// Single words long enough to be mistyped, with the index of their kind.
    pub(super) fn correctable(&self) -> impl Iterator<Item = (&str, usize)> {
        let single = self.words.values().flatten().filter(|e| e.words.len() == 1);
        single.filter_map(|e| Some((e.words.first()?.as_str(), e.kind)))
    }
}

/// `StatefulSet` -> `stateful set`; runs of capitals stay together (`CSIDriver` -> `csi driver`).
fn camel_words(kind: &str) -> String {
    let chars: Vec<char> = kind.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|p| chars.get(p));
        let after_lower = before.is_some_and(|p| p.is_lowercase());
        let ends_run =
            before.is_some_and(|p| p.is_uppercase()) && chars.get(i + 1).is_some_and(|n| n.is_lowercase());
        if c.is_uppercase() && (after_lower || ends_run) {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// The plural of spaced words takes the plural's own ending (`network policy` -> `network policies`).
fn plural_of(spaced: &str, plural: &str) -> String {
    let head = spaced.rsplit_once(' ').map_or("", |(head, _)| head);
    let glued = head.replace(' ', "");
    match plural.strip_prefix(&glued) {
        Some(tail) if !head.is_empty() => format!("{head} {tail}"),
        Some(_) | None => plural.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Option<(String, usize, bool)> {
        let lexicon = Lexicon::builtin();
        let words: Vec<&str> = text.split(' ').collect();
        let found = lexicon.at(|i| words.get(i).copied().unwrap_or(""));
        found.map(|m| (m.info.kind.clone(), m.len, m.plural))
    }

    #[test]
    fn finds_kinds_by_every_usual_word() {
        let cases = [
            ("pods", "Pod", 1, true),
            ("deploy", "Deployment", 1, false),
            ("stateful sets", "StatefulSet", 2, true),
            ("persistent volume claim data", "PersistentVolumeClaim", 3, false),
            ("network policies", "NetworkPolicy", 2, true),
            ("cluster role bindings", "ClusterRoleBinding", 3, true),
            ("service account", "ServiceAccount", 2, false),
            ("service web", "Service", 1, false),
            ("pvcs", "PersistentVolumeClaim", 1, true),
            ("hpa", "HorizontalPodAutoscaler", 1, false),
            ("deployments.apps", "Deployment", 1, true),
            ("config-map", "ConfigMap", 1, false),
        ];
        for (text, kind, len, plural) in cases {
            assert_eq!(find(text), Some((kind.to_owned(), len, plural)), "{text}");
        }
    }

    #[test]
    fn words_of_the_grammar_are_no_kinds() {
        for word in ["no", "limits", "app", "apps", "web", "image"] {
            assert_eq!(find(word), None, "{word}");
        }
        assert_eq!(
            Lexicon::builtin().exact("no").map(|k| k.kind.as_str()),
            Some("Node")
        );
    }

    #[test]
    fn knows_discovered_kinds() {
        let mut kinds = Lexicon::builtin_kinds();
        kinds.push(KindInfo {
            group: "monitoring.coreos.com".into(),
            version: "v1".into(),
            kind: "ServiceMonitor".into(),
            plural: "servicemonitors".into(),
            singular: String::new(),
            short_names: vec!["smon".into()],
            namespaced: true,
        });
        let lexicon = Lexicon::new(kinds);
        for words in [
            vec!["service", "monitors"],
            vec!["smon"],
            vec!["servicemonitors.monitoring.coreos.com"],
        ] {
            let found = lexicon
                .at(|i| words.get(i).copied().unwrap_or(""))
                .expect("known");
            assert_eq!(
                (found.info.kind.as_str(), found.len),
                ("ServiceMonitor", words.len())
            );
        }
    }
}
