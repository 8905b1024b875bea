//! Structure first: what an object's form says is secret, whatever it looks like.
//!
//! YAML and JSON are read where they stand, also in the middle of prose, cut off, or in a string of other JSON; nothing
//! has to be a whole document. Both readers tell [`Frames`] what opens, closes and holds a value; what is secret is said
//! in one place, here. **Invariant:** what was cut off before it said its kind counts as what it may have been.

mod json;
mod yaml;

use super::engine::is_mask;
use super::shape::{is_placeholder, looks_like_token};
use super::work::Work;
use super::{Blocked, Find, Weight};

/// Values withheld by the name of their field alone (lower case, without `-`, `_` and `.`).
const ALWAYS: &[(&str, &str, Weight)] = &[
    (
        "kubectlkubernetesio/lastappliedconfiguration",
        "last-applied-configuration",
        Weight::Withheld,
    ),
    ("cabundle", "ca-bundle", Weight::Withheld),
    ("clientkeydata", "kubeconfig-key", Weight::Secret),
    (
        "clientcertificatedata",
        "kubeconfig-certificate",
        Weight::Withheld,
    ),
    ("idtoken", "kubeconfig-token", Weight::Secret),
    ("refreshtoken", "kubeconfig-token", Weight::Secret),
    ("dockerconfigjson", "registry-auth", Weight::Secret),
    ("dockercfg", "registry-auth", Weight::Secret),
    ("tlskey", "private-key", Weight::Secret),
    ("sshprivatekey", "private-key", Weight::Secret),
];

/// The classes that structure names, and those of what cannot be looked into.
pub(super) const CLASSES: &[&str] = &[
    "last-applied-configuration",
    "ca-bundle",
    "kubeconfig-certificate",
    "kubeconfig-token",
    "kubernetes-secret",
    "sensitive-field",
    "env-value",
    "managed-fields",
    "helm-release",
    "compressed-data",
    "high-entropy",
];

/// Ends of fields' names whose value is a secret, if it is one at all (no gap, no flag, no number).
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secretkey",
    "accesskey",
    "apikey",
    "privatekey",
    "authtoken",
    "accesstoken",
    "clientsecret",
    "secretaccesskey",
    "connectionstring",
    "encryptionkey",
    "bearertoken",
];

/// Depth at which a reader gives up a document and begins anew.
const MAX_DEPTH: usize = 64;

/// Bytes of a text: first, one past the last.
pub(super) type Range = (usize, usize);

/// Something open: a map, a list or an item of it.
#[derive(Debug, Default)]
struct Frame {
    /// The field it is the value of.
    key: Option<Range>,
    /// Column of the key or dash (YAML), for who closes it.
    indent: isize,
    /// Whether it was opened by a dash (YAML).
    item: bool,
    /// Where its value begins.
    start: usize,
    /// Values below `data` or `stringData`.
    data: Vec<Range>,
    /// Such values of what it holds: secret if this turns out to be a list of Secrets.
    inner: Vec<Range>,
    kind: Kind,
    /// `value` of an entry of `env`.
    value: Option<Range>,
    /// It said an apiVersion, so it is an object that has a kind.
    versioned: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// It said none.
    #[default]
    Untold,
    Secret,
    SecretList,
    Other,
}

/// The stack of what is open, and what was found.
#[derive(Debug)]
struct Frames<'t> {
    text: &'t str,
    stack: Vec<Frame>,
    found: Vec<Find>,
    /// The last string that was looked through, by its quote: where it begins and where it stops.
    strings: [Range; 2],
    /// Work that is left. At none the readers stop, and the text is blocked.
    left: usize,
}

impl<'t> Frames<'t> {
    /// Whether there was that much work left.
    const fn spend(&mut self, units: usize) -> bool {
        self.left = self.left.saturating_sub(units);
        self.left > 0
    }

    /// The closing quote of the string that begins at `at`; `None` where a line ends first. A quote of the same sort within a
    /// string that was looked through is an escaped one, so a string that begins there stops where that one did.
    fn string_end(&mut self, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let quote = bytes.get(at)?;
        let known = self.strings.get_mut(usize::from(*quote == b'"'))?;
        if !(known.0..known.1).contains(&at) {
            *known = (at, json::string_stop(bytes, at));
            let units = known.1 - known.0;
            self.spend(units);
        }
        let stop = self.strings.get(usize::from(*quote == b'"'))?.1;
        (bytes.get(stop) == Some(quote)).then_some(stop)
    }

    fn slice(&self, range: Range) -> &'t str {
        self.text.get(range.0..range.1).unwrap_or_default()
    }

    fn find(&mut self, range: Range, class: &'static str, weight: Weight) {
        if range.0 < range.1 && !is_mask(self.slice(range)) {
            self.found.push(Find {
                start: range.0,
                end: range.1,
                class,
                weight,
            });
        }
    }

    fn enter(&mut self, key: Option<Range>, indent: isize, item: bool, start: usize) {
        self.stack.push(Frame {
            key,
            indent,
            item,
            start,
            ..Frame::default()
        });
    }

    /// The field whose value the innermost open thing is.
    fn key(&self) -> &'t str {
        let top = self.stack.last().and_then(|frame| frame.key);
        top.map_or("", |range| self.slice(range))
    }

    /// Whether the innermost map is an entry of a list called `env`.
    fn in_env(&self) -> bool {
        let above = self.stack.iter().rev().find_map(|frame| frame.key);
        let above = above.map_or("", |range| self.slice(range));
        self.key().is_empty() && (above == "env" || above.ends_with("Env"))
    }

    /// The place in the stack of the object whose `data` this is.
    fn owner(&self) -> Option<usize> {
        (1..self.stack.len()).rev().find_map(|i| {
            let key = self.stack.get(i)?.key.map(|range| self.slice(range))?;
            matches!(key, "data" | "stringData").then(|| i - 1)
        })
    }

    /// A field with a plain value, or a plain item of a list.
    fn scalar(&mut self, key: Option<Range>, value: Range) {
        // Read for what it is, and asked whose it is at each depth.
        self.spend(value.1 - value.0 + self.stack.len());
        let name = key.map_or("", |range| self.slice(range));
        let text = self.slice(value);
        if name == "kind" {
            let kind = match text {
                "Secret" => Kind::Secret,
                "SecretList" => Kind::SecretList,
                _ => Kind::Other,
            };
            if let Some(frame) = self.stack.last_mut().filter(|frame| frame.kind == Kind::Untold) {
                frame.kind = kind;
            }
        }
        if name == "apiVersion"
            && let Some(frame) = self.stack.last_mut()
        {
            frame.versioned = true;
        }
        if matches!(self.key(), "env" | "environment") && !name.is_empty() {
            self.find(value, "env-value", Weight::Withheld);
        }
        if let Some(frame) = self.owner().and_then(|i| self.stack.get_mut(i)) {
            frame.data.push(value);
        }
        if name == "value"
            && self.in_env()
            && let Some(frame) = self.stack.last_mut()
        {
            frame.value = Some(value);
        }
        self.by_name(name, value, text);
    }

    fn by_name(&mut self, name: &str, value: Range, text: &str) {
        if name.is_empty() {
            return;
        }
        let plain: String = name
            .chars()
            .filter(|c| !matches!(c, '-' | '_' | '.'))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        if let Some((_, class, weight)) = ALWAYS.iter().find(|(field, _, _)| *field == plain) {
            return self.find(value, class, *weight);
        }
        if is_placeholder(text) {
            return;
        }
        let parent = self.key();
        if plain == "release" && text.len() > 64 && self.owner().is_some() {
            return self.find(value, "helm-release", Weight::Secret);
        }
        // A user of a kubeconfig.
        if plain == "token" && parent == "user" && text.len() >= 8 {
            return self.find(value, "kubeconfig-token", Weight::Secret);
        }
        let literal = ["true", "false", "null", "~"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
            || text.parse::<f64>().is_ok();
        if literal || text.len() < 4 || text.contains(' ') && !text.contains('=') {
            return;
        }
        if NAMES.iter().any(|end| plain.ends_with(end)) {
            let sure = text.bytes().any(|b| !b.is_ascii_lowercase() && b != b'-');
            let weight = if sure { Weight::Secret } else { Weight::Withheld };
            self.find(value, "sensitive-field", weight);
        } else if (plain.ends_with("token") || plain.ends_with("secret")) && looks_like_token(text) {
            self.find(value, "sensitive-field", Weight::Secret);
        }
    }

    /// Closes the innermost open thing at `end`. `whole` says that it was not cut off.
    fn leave(&mut self, end: usize, whole: bool) {
        let Some(mut frame) = self.stack.pop() else { return };
        self.spend(1 + frame.data.len() + frame.inner.len());
        if frame.key.map(|range| self.slice(range)) == Some("managedFields") {
            self.find((frame.start, end), "managed-fields", Weight::Withheld);
        }
        if let Some(value) = frame.value.filter(|value| !self.slice(*value).is_empty()) {
            self.find(value, "env-value", Weight::Withheld);
        }
        let secret = match frame.kind {
            Kind::Secret | Kind::SecretList => true,
            Kind::Other => false,
            Kind::Untold => !whole || frame.versioned,
        };
        if secret {
            frame.data.append(&mut frame.inner);
            for value in frame.data {
                self.find(value, "kubernetes-secret", Weight::Secret);
            }
        } else if let Some(parent) = self.stack.last_mut() {
            if frame.kind == Kind::Untold {
                parent.inner.append(&mut frame.data);
            }
            parent.inner.append(&mut frame.inner);
        }
    }

    fn leave_all(&mut self, end: usize, whole: bool) {
        while !self.stack.is_empty() {
            self.leave(end, whole);
        }
    }
}

/// What the structure of a text says is secret or to be withheld.
///
/// # Errors
/// When it takes too much work.
pub(super) fn find(text: &str, work: &mut Work) -> Result<Vec<Find>, Blocked> {
    // Without any of these nothing can stand in a structure.
    if !text.bytes().any(|b| matches!(b, b':' | b'{')) {
        return Ok(vec![]);
    }
    let had = work.left();
    let mut frames = Frames {
        text,
        stack: vec![],
        found: vec![],
        strings: [(0, 0); 2],
        left: had,
    };
    yaml::read(&mut frames);
    // None left is not enough: the readers stopped.
    work.spend(if frames.left == 0 {
        had + 1
    } else {
        had - frames.left
    })?;
    Ok(frames.found)
}

/// Strings of JSON within `text` that hold JSON themselves: where they stand, and what they say.
pub(super) fn nested(text: &str) -> Vec<(Range, String)> {
    json::nested(text)
}
