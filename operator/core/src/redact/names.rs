//! Who and what is meant, behind tokens: names, namespaces, hosts, addresses and users leave as `KCID_NAME_` and seven
//! letters, and come back only where the intent has a field for them.
//!
//! The same value has the same token through a session (six letters of an HMAC with the session's key), the seventh letter
//! checks the others. **Invariants:** nothing is restored in a text a model wrote freely; a token that this session never
//! gave, or that stands where no such thing can, makes the whole answer invalid.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An object.
    Name,
    /// A namespace.
    Namespace,
    /// A host or domain.
    Host,
    /// An IP address.
    Address,
    /// A person or service account.
    User,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Name, Self::Namespace, Self::Host, Self::Address, Self::User];

    const fn word(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Namespace => "NS",
            Self::Host => "HOST",
            Self::Address => "ADDR",
            Self::User => "USER",
        }
    }
}

/// Why an answer is invalid. It never says what a token stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// No such token was given in this session, or its check letter is wrong.
    #[error("the answer holds a token that was never given: {0}")]
    Unknown(String),
    /// It stands in a field that takes no such thing.
    #[error("the answer has a token in {0}, where it has no meaning")]
    Misplaced(&'static str),
}

const MARK: &str = "KCID_";
/// Without letters that look like others (Crockford).
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Letters of a token before the check letter.
const LENGTH: usize = 6;

/// The tokens of one conversation.
#[derive(Clone)]
pub struct Session {
    key: [u8; 32],
    given: BTreeMap<String, (Kind, String)>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("given", &self.given.len())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session with a key of its own, which nobody else has.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            given: BTreeMap::new(),
        }
    }

    /// The token of a value, the same each time.
    #[must_use]
    pub fn token(&mut self, kind: Kind, value: &str) -> String {
        // A second value with the same letters takes the next ones.
        let mut round = 0_u32;
        loop {
            let token = self.make(kind, value, round);
            match self.given.get(&token) {
                Some(known) if *known != (kind, value.to_owned()) => round += 1,
                Some(_) => return token,
                None => {
                    self.given.insert(token.clone(), (kind, value.to_owned()));
                    return token;
                }
            }
        }
    }

    fn make(&self, kind: Kind, value: &str, round: u32) -> String {
        // A key of 32 bytes always fits.
        let digest = Hmac::<Sha256>::new_from_slice(&self.key).map_or([0; 32], |mut mac| {
            mac.update(kind.word().as_bytes());
            mac.update(&round.to_be_bytes());
            mac.update(value.as_bytes());
            mac.finalize().into_bytes().into()
        });
        let letters: Vec<u8> = digest.iter().take(LENGTH).map(|b| b % 32).collect();
        let text: String = letters
            .iter()
            .map(|n| char::from(LETTERS[usize::from(*n)]))
            .collect();
        format!("{MARK}{}_{text}{}", kind.word(), check(kind, &letters))
    }

    /// The text with a token for each of `known` and for every address, host and e-mail address in it. Longest first,
    /// whole words only.
    #[must_use]
    pub fn hide(&mut self, text: &str, known: &[(Kind, &str)]) -> String {
        let mut known: Vec<(Kind, &str)> = known
            .iter()
            .copied()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        known.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
            let before = text.get(..at).unwrap_or_default();
            let rest = text.get(at..).unwrap_or_default();
            let found = |ends: fn(&str) -> bool| {
                let of = |(_, value): &&(Kind, &str)| {
                    rest.get(..value.len())
                        .is_some_and(|written| written.eq_ignore_ascii_case(value))
                        && rest.get(value.len()..).is_some_and(ends)
                };
                known.iter().find(of).copied()
            };
            let begins = !before.ends_with(is_part);
            let word = rest.split(|c: char| !is_place(c)).next().unwrap_or_default();
            let word = word.trim_end_matches(['.', ':', '-']);
            let named = found(ends_word).filter(|_| begins);
            let place = place(word).filter(|_| begins && named.is_none());
            if let Some((kind, length)) = place {
                let value = word.get(..length).unwrap_or_default();
                out.push_str(&self.token(kind, value));
                at += length;
                continue;
            }
            // Groups of Kubernetes itself are nobody's names, whatever they are made of.
            if begins && named.is_none() && is_public(word) {
                out.push_str(word);
                at += word.len();
                continue;
            }
            // `payments.team-a:8080` is made of two names.
            let part = || found(ends_part).filter(|_| begins || before.ends_with('.'));
            if let Some((kind, value)) = named.or_else(part) {
                out.push_str(&self.token(kind, value));
                at += value.len();
                continue;
            }
            out.push(c);
            at += c.len_utf8();
        }
        out
    }

    /// A field's text with the values instead of the tokens.
    pub(super) fn put(&self, text: &mut String, name: &'static str, kinds: &[Kind]) -> Result<(), Forged> {
        let mut out = String::with_capacity(text.len());
        // Models change the case of what they copy; such a token is as unknown as any other.
        let upper = text.to_ascii_uppercase();
        let mut from = 0;
        while let Some(at) = upper.get(from..).and_then(|rest| rest.find(MARK)) {
            out.push_str(text.get(from..from + at).unwrap_or_default());
            let tail = text.get(from + at..).unwrap_or_default();
            let end = tail
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(tail.len());
            let token = tail.get(..end).unwrap_or_default();
            let (kind, value) = self
                .given
                .get(token)
                .filter(|_| well_formed(token))
                .ok_or_else(|| Forged::Unknown(token.chars().take(40).collect()))?;
            if !kinds.contains(kind) {
                return Err(Forged::Misplaced(name));
            }
            out.push_str(value);
            from += at + end;
        }
        out.push_str(text.get(from..).unwrap_or_default());
        *text = out;
        Ok(())
    }
}

/// The letter that checks the others: one that was changed, or two that changed places, make another one.
fn check(kind: Kind, letters: &[u8]) -> char {
    let weighed = letters
        .iter()
        .zip([1_u32, 3, 5, 7, 9, 11])
        .map(|(n, w)| u32::from(*n) * w);
    let sum = weighed.sum::<u32>() + kind.word().bytes().map(u32::from).sum::<u32>();
    char::from(LETTERS[usize::try_from(sum % 32).unwrap_or(0)])
}

/// Whether a token's check letter is that of its others.
fn well_formed(token: &str) -> bool {
    let Some((kind, letters)) = token.strip_prefix(MARK).and_then(|t| t.split_once('_')) else {
        return false;
    };
    let Some(kind) = Kind::ALL.into_iter().find(|k| k.word() == kind) else {
        return false;
    };
    let place = |b: u8| {
        LETTERS
            .iter()
            .position(|l| *l == b)
            .and_then(|n| u8::try_from(n).ok())
    };
    let numbers: Option<Vec<u8>> = letters.bytes().map(place).collect();
    match numbers {
        Some(numbers) if numbers.len() == LENGTH + 1 => {
            letters.ends_with(check(kind, numbers.get(..LENGTH).unwrap_or_default()))
        }
        _ => false,
    }
}

/// A character of a name.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Whether a name ends here: a full stop or a dash ends it only where no name goes on after it.
fn ends_word(after: &str) -> bool {
    let mut rest = after.chars();
    match rest.next() {
        None => true,
        Some('.' | '-') => !rest.next().is_some_and(char::is_alphanumeric),
        Some(c) => !is_part(c),
    }
}

/// Whether a part of a dotted name ends here.
fn ends_part(after: &str) -> bool {
    !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

/// A character of a host, an address or a user.
const fn is_place(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '+')
}

/// Suffixes of names that Kubernetes itself uses.
const PUBLIC: &[&str] = &["k8s.io", "kubernetes.io", "kubechat.io", "x-k8s.io"];

fn is_public(word: &str) -> bool {
    PUBLIC.iter().any(|end| {
        word.strip_suffix(end)
            .is_some_and(|front| front.is_empty() || front.ends_with('.'))
    })
}

/// What a word says of where or who, and how many bytes of it.
fn place(word: &str) -> Option<(Kind, usize)> {
    if let Some((user, host)) = word.split_once('@')
        && !user.is_empty()
        && is_host(host)
    {
        return Some((Kind::User, word.len()));
    }
    if word.starts_with("system:serviceaccount:") {
        return Some((Kind::User, word.len()));
    }
    if word.parse::<std::net::IpAddr>().is_ok() && word.contains(['.', ':']) && word != "::" {
        return Some((Kind::Address, word.len()));
    }
    // `10.0.0.1:8080`, `db.example.org:5432`: the port stays.
    let host = word.split(':').next().unwrap_or_default();
    if host.parse::<std::net::Ipv4Addr>().is_ok() {
        return Some((Kind::Address, host.len()));
    }
    is_host(host).then_some((Kind::Host, host.len()))
}

/// At least two labels, the last of letters; no API group of Kubernetes, no file, no version.
fn is_host(word: &str) -> bool {
    let labels: Vec<&str> = word.split('.').collect();
    let label = |l: &&str| {
        !l.is_empty()
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let last = labels.last().copied().unwrap_or_default();
    let public = is_public(word);
    let file = matches!(
        last,
        "yaml" | "yml" | "json" | "txt" | "md" | "log" | "conf" | "sh" | "go" | "rs" | "py" | "js"
    );
    let field = labels
        .first()
        .is_some_and(|l| matches!(*l, "spec" | "metadata" | "status" | "data"));
    labels.len() >= 2
        && labels.iter().all(label)
        && last.len() >= 2
        && last.bytes().all(|b| b.is_ascii_alphabetic())
        && !(public || file || field)
}

#[cfg(test)]
mod tests {
    use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
    use proptest::prelude::*;

    use super::*;

    fn intent(name: &str) -> Intent {
        Intent {
            action: Action::Scale,
            target: IntentTarget {
                names: vec![name.to_owned()],
                ..IntentTarget::default()
            },
            params: IntentParams::default(),
            confidence: 90,
            span: Span::default(),
        }
    }

    #[test]
    fn names_hosts_addresses_and_users_leave_as_tokens_and_come_back() {
        let mut session = Session::new([7; 32]);
        let text = "scale payments-api in team-a to 5; see db.corp.example.com:5432, 10.1.2.3, fd00::1 and bob@example.com.";
        let known = [
            (Kind::Name, "payments-api"),
            (Kind::Namespace, "team-a"),
            (Kind::Name, "payments"),
        ];
        let hidden = session.hide(text, &known);
        for gone in [
            "payments",
            "team-a",
            "db.corp",
            "10.1.2.3",
            "fd00",
            "bob",
            "example.com",
        ] {
            assert!(!hidden.contains(gone), "{gone}: {hidden}");
        }
        assert!(
            hidden.contains(":5432") && hidden.contains("to 5;") && hidden.ends_with('.'),
            "{hidden}"
        );
        let token = session.token(Kind::Name, "payments-api");
        assert!(hidden.contains(&token));
        assert_eq!(
            session.restore(&intent(&token)).map(|i| i.target.names),
            Ok(vec!["payments-api".to_owned()])
        );
        assert_eq!(session.hide(text, &known), hidden, "the same each time");
    }

    #[test]
    fn api_groups_files_fields_versions_and_parts_of_words_stay() {
        let mut session = Session::new([7; 32]);
        let text = "label app.kubernetes.io/name, deployment.yaml, spec.replicas, v1.2.3, nginx:1.27.1, webserver and my-web";
        assert_eq!(session.hide(text, &[(Kind::Name, "web")]), text);
    }

    #[test]
    fn a_name_within_a_dotted_word_or_in_capitals_leaves_as_a_token_too() {
        let mut session = Session::new([7; 32]);
        let known = [
            (Kind::Name, "payments-api"),
            (Kind::Namespace, "team-a"),
            (Kind::Name, "app"),
        ];
        for text in [
            "scale payments-api.team-a:8080",
            "scale PAYMENTS-API in Team-A",
            "curl payments-api.team-a.svc/health",
            "see db.team-a",
        ] {
            let hidden = session.hide(text, &known).to_lowercase();
            assert!(
                !hidden.contains("payments") && !hidden.contains("team-a"),
                "{text}: {hidden}"
            );
        }
        let token = session.token(Kind::Name, "payments-api");
        assert!(
            session.hide("PAYMENTS-API", &known).contains(&token),
            "it is the same object"
        );
        for text in [
            "label app.kubernetes.io/name",
            "my-app and payments-api-2 and apps",
        ] {
            assert_eq!(session.hide(text, &known), text);
        }
    }

    #[test]
    fn a_token_that_was_never_given_or_is_changed_makes_the_answer_invalid() {
        let mut session = Session::new([7; 32]);
        let token = session.token(Kind::Name, "web");
        let mut other = Session::new([8; 32]);
        let foreign = other.token(Kind::Name, "web");
        let mut changed = token.clone();
        let last = changed.pop().unwrap();
        changed.push(if last == '0' { '1' } else { '0' });
        for bad in [
            foreign,
            changed,
            token.to_lowercase(),
            format!("{token}X"),
            "KCID_".to_owned(),
            "KCID_NAME_AAAAAAA".to_owned(),
        ] {
            let answer = session.restore(&intent(&bad));
            assert!(matches!(answer, Err(Forged::Unknown(_))), "{bad}: {answer:?}");
        }
    }

    #[test]
    fn a_token_where_no_such_thing_can_stand_makes_the_answer_invalid() {
        let mut session = Session::new([7; 32]);
        let address = session.token(Kind::Address, "10.0.0.1");
        assert_eq!(
            session.restore(&intent(&address)),
            Err(Forged::Misplaced("target.names"))
        );
        let name = session.token(Kind::Name, "web");
        let mut wrong = intent("web");
        wrong.target.kind = Some(name);
        assert_eq!(session.restore(&wrong), Err(Forged::Misplaced("target.kind")));
    }

    #[test]
    fn debug_shows_neither_key_nor_values() {
        let mut session = Session::new([7; 32]);
        let _ = session.token(Kind::Name, "payments");
        assert!(!format!("{session:?}").contains("payments"));
    }

    proptest! {
        #[test]
        fn different_values_have_different_tokens_and_each_comes_back(values in prop::collection::btree_set("[a-z][a-z0-9-]{0,20}", 1..40)) {
            let mut session = Session::new([3; 32]);
            let mut seen = std::collections::BTreeSet::new();
            for value in &values {
                let token = session.token(Kind::Name, value);
                prop_assert!(well_formed(&token));
                prop_assert!(seen.insert(token.clone()));
                prop_assert_eq!(session.restore(&intent(&token)).unwrap().target.names, vec![value.clone()]);
            }
        }

        #[test]
        fn one_changed_letter_is_noticed(value in "[a-z]{1,10}", at in 0..7usize, to in 0..32usize) {
            let mut session = Session::new([3; 32]);
            let token = session.token(Kind::Name, &value);
            let mut bytes = token.clone().into_bytes();
            let place = bytes.len() - 7 + at;
            let letter = LETTERS[to];
            prop_assume!(bytes[place] != letter);
            bytes[place] = letter;
            prop_assert!(!well_formed(std::str::from_utf8(&bytes).unwrap()));
        }
    }
}
