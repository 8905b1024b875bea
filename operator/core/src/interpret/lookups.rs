//! Two questions with a grammar of their own, which take the whole prompt: what a field is for ("explain
//! deployment.spec.strategy"), and which objects run an image, hold a text, belong to something or bear a label ("find pods
//! with image nginx").
//!
//! **Invariant:** every word is taken or the prompt is left to the general grammar: nothing said is passed over.

use kubechat_crds::intent::{Action, IntentParams, IntentTarget};

use super::kubectl::Command;
use super::kubectl_flags::one;
use super::lexicon::{KindInfo, Lexicon};
use super::token::{Shape, Token};
use super::{Ask, Draft, names, vocab};

const POLITE: &[&str] = &[
    "please",
    "can you",
    "could you",
    "would you",
    "can you please",
    "could you please",
    "kindly",
    "hi",
    "hey",
    "hello",
    "i want to",
    "i need to",
    "help me",
];
const THANKS: &[&str] = &["please", "thanks", "thank you", "for me", "to me"];

#[rustfmt::skip]
const EXPLAINS: &[&str] = &[
    "explain", "explain me", "explain to me", "document", "docs of", "docs for", "documentation of", "documentation for",
    "show the docs of", "show docs of", "show the documentation of", "field docs of", "describe the fields of",
    "explain the fields of", "what are the fields of", "which fields are there in", "show the fields of",
    "show me the fields of", "list the fields of", "fields of", "what fields does", "which fields does", "what does",
    "what is the meaning of", "explain the field", "explain field", "what does the field", "what is the field",
];
const MEANS: &[&str] = &["mean", "do", "have", "stand for", "good for", "used for", "for"];

#[rustfmt::skip]
const FINDS: &[&str] = &[
    "find", "find me", "search", "search for", "look for", "locate", "show", "show me", "list", "get", "give me", "which",
    "what", "who", "find out which", "find out what", "tell me which",
];
const WHAT_IF: &[&str] = &[
    "what happens",
    "what would happen",
    "what will happen",
    "what if",
    "what would",
];
/// Words for objects of any kind.
const ANYTHING: &[&str] = &[
    "everything",
    "anything",
    "objects",
    "resources",
    "things",
    "all objects",
    "all resources",
    "any object",
    "any resource",
    "all the objects",
    "all things",
    "whatever",
    "every object",
    "every resource",
];
#[rustfmt::skip]
const RUNS_IMAGE: &[&str] = &[
    "with image", "with the image", "with images", "using image", "using the image", "use image", "use the image",
    "uses image", "uses the image", "run image", "run the image", "runs image", "runs the image", "running image",
    "running the image", "by image", "of image", "based on image", "based on the image", "on image", "having image",
    "have image", "have the image", "that image",
];
/// Before what can only be an image.
const RUNS: &[&str] = &[
    "use",
    "uses",
    "using",
    "run",
    "runs",
    "running",
    "are running",
    "is running",
    "are using",
];
#[rustfmt::skip]
const HOLDS: &[&str] = &[
    "contain", "contains", "containing", "mention", "mentions", "mentioning", "with text", "with the text",
    "with the word", "with the string", "contain the text", "contain the word", "contain the string", "containing the text",
    "containing the word", "containing the string", "mentioning the word", "that say", "saying", "refer to",
    "referring to", "refers to",
];
#[rustfmt::skip]
const BELONGS: &[&str] = &[
    "belong to", "belongs to", "belonging to", "owned by", "are owned by", "is owned by", "controlled by",
    "are controlled by", "is controlled by", "created by", "made by", "managed by",
];
const LABELLED: &[&str] = &[
    "labelled",
    "labeled",
    "with label",
    "with the label",
    "with labels",
    "having label",
    "having the label",
    "that have label",
    "that have the label",
    "where",
];

/// What stands in a prompt that is one of these questions; `None` for every other prompt.
pub(super) fn read(tokens: &[Token], lexicon: &Lexicon) -> Option<Draft> {
    let mut words = Words {
        toks: tokens,
        lexicon,
    };
    words.trim();
    explained(&words).or_else(|| found(&words))
}

/// Refuses what looks for an image but is not wholly such a question: the general grammar would take the image for a name.
pub(super) fn misplaced(tokens: &[Token], lexicon: &Lexicon) -> Option<Ask> {
    let mut words = Words {
        toks: tokens,
        lexicon,
    };
    words.trim();
    let rest = words.after(FINDS)?;
    // What a change would do is another question, and its image is a new one.
    if (0..tokens.len()).any(|at| words.from(at).after(WHAT_IF).is_some()) {
        return None;
    }
    let image = |at: usize| {
        rest.from(at)
            .after(&["with image", "with the image", "using image", "using the image"])
    };
    (0..rest.toks.len()).any(|at| image(at).is_some()).then(|| {
        let say = "find pods with image nginx:1.28".to_owned();
        Ask::with(
            format!("An image is looked for in a prompt of its own, as in '{say}'"),
            vec![say],
        )
        .firm()
    })
}

/// A run of tokens.
#[derive(Clone, Copy)]
struct Words<'a> {
    toks: &'a [Token],
    lexicon: &'a Lexicon,
}

impl<'a> Words<'a> {
    fn key(&self, at: usize) -> &'a str {
        self.toks.get(at).map_or("", |t| t.key.as_str())
    }

    fn from(&self, at: usize) -> Self {
        Self {
            toks: self.toks.get(at..).unwrap_or_default(),
            lexicon: self.lexicon,
        }
    }

    fn upto(&self, end: usize) -> Self {
        Self {
            toks: self.toks.get(..end).unwrap_or_default(),
            lexicon: self.lexicon,
        }
    }

    fn is_empty(&self) -> bool {
        self.toks.is_empty()
    }

    /// What follows the longest of these phrases, where one stands here.
    fn after(&self, phrases: &[&str]) -> Option<Self> {
        let len = vocab::phrase_len(phrases, |i| self.key(i))?;
        Some(self.from(len))
    }

    /// What follows these words, however many stand here.
    fn past(&self, words: &[&str]) -> Self {
        let mut at = 0;
        while words.contains(&self.key(at)) {
            at += 1;
        }
        self.from(at)
    }

    /// Without politeness around it and marks behind it.
    fn trim(&mut self) {
        while let Some(rest) = self.after(POLITE) {
            *self = rest.past(&[","]);
        }
        loop {
            let len = self.toks.len();
            let last = self.toks.last().map_or("", |t| t.key.as_str());
            if matches!(last, "?" | "." | "!" | ",") {
                *self = self.upto(len - 1);
                continue;
            }
            let polite = THANKS.iter().find(|phrase| {
                let count = phrase.split(' ').count();
                let tail = self.from(len.saturating_sub(count));
                tail.after(&[phrase]).is_some_and(|rest| rest.is_empty())
            });
            match polite {
                Some(phrase) => *self = self.upto(len - phrase.split(' ').count()),
                None => return,
            }
        }
    }

    /// A kind that stands here, and what follows it.
    fn kind(&self) -> Option<(&'a KindInfo, Self)> {
        let found = self.lexicon.at(|i| self.key(i))?;
        Some((found.info, self.from(found.len)))
    }

    /// The one token that is left, as written.
    fn only(&self) -> Option<&'a Token> {
        match self.toks {
            [one] if one.shape != Shape::Mark => Some(one),
            _ => None,
        }
    }

    /// Place of the first of these words.
    fn find(&self, words: &[&str]) -> Option<usize> {
        (0..self.toks.len()).find(|at| words.contains(&self.key(*at)))
    }
}

fn of_kind(info: &KindInfo) -> IntentTarget {
    IntentTarget {
        kind: Some(info.kind.clone()),
        group: Some(info.group.clone()).filter(|g| !g.is_empty()),
        ..IntentTarget::default()
    }
}

fn explained(words: &Words<'_>) -> Option<Draft> {
    let mut rest = words.after(EXPLAINS)?;
    let asks = vocab::phrase_len(
        &[
            "what does",
            "what fields does",
            "which fields does",
            "what does the field",
        ],
        |i| words.key(i),
    );
    for phrase in MEANS {
        let len = rest.toks.len();
        let count = phrase.split(' ').count();
        let tail = rest.from(len.saturating_sub(count));
        if asks.is_some() && len > count && tail.after(&[phrase]).is_some_and(|t| t.is_empty()) {
            rest = rest.upto(len - count);
            break;
        }
    }
    let (info, path) = field(&rest.past(&["the", "a", "an", "kind", "resource"]))?;
    Some(Draft {
        action: Action::Explain,
        target: of_kind(info),
        params: IntentParams {
            path: Some(path).filter(|p| !p.is_empty()),
            ..IntentParams::default()
        },
    })
}

/// `deployment.spec.strategy`, `deployments`, `deployment spec.strategy`, `spec.strategy of deployments`.
fn field<'a>(words: &Words<'a>) -> Option<(&'a KindInfo, String)> {
    let dotted = words
        .only()
        .filter(|t| t.shape == Shape::Word)
        .map(|t| t.text.as_str());
    if let Some(word) = dotted {
        if let Some(info) = words.lexicon.exact(&word.to_lowercase()) {
            return Some((info, String::new()));
        }
        let (kind, path) = word.split_once('.')?;
        let info = words.lexicon.exact(&kind.to_lowercase())?;
        return is_path(path).then(|| (info, path.to_owned()));
    }
    if let Some((info, rest)) = words.kind() {
        if rest.is_empty() {
            return Some((info, String::new()));
        }
        let path = rest.past(&["field", "fields"]).only()?.text.clone();
        return is_path(&path).then_some((info, path));
    }
    let at = words.find(&["of", "in", "on", "for"])?;
    let path = words
        .upto(at)
        .past(&["field", "fields", "the"])
        .only()?
        .text
        .clone();
    let (info, rest) = words.from(at + 1).past(&["the", "a", "an", "kind"]).kind()?;
    (rest.is_empty() && is_path(&path)).then_some((info, path))
}

/// `spec.template.spec.containers`.
fn is_path(text: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 512 && text.split('.').all(name)
}

/// `kubectl explain WORD`.
pub(super) fn explain_line(command: &Command, word: &str, lexicon: &Lexicon) -> Result<Vec<Draft>, Ask> {
    let tokens = super::token::tokens(&format!("explain {word}"), 0);
    let words = Words {
        toks: &tokens,
        lexicon,
    };
    let asks = || Ask::new(format!("{} is no kind or field of one", names::shown(word)));
    let draft = explained(&words).ok_or_else(asks)?;
    let mut drafts = one(command, Action::Explain, vec![draft.target])?;
    for line in &mut drafts {
        line.params.path.clone_from(&draft.params.path);
    }
    Ok(drafts)
}

fn found(words: &Words<'_>) -> Option<Draft> {
    let rest = words.after(FINDS)?;
    // "which pods belong to web" is a list of the general grammar.
    let looks = matches!(words.key(0), "find" | "search" | "look" | "locate");
    let (rest, place) = placed(&rest)?;
    let rest = rest.past(&["all", "the", "every", "each", "any"]);
    let (mut target, rest) = match (rest.after(ANYTHING), rest.kind()) {
        (Some(rest), _) => (IntentTarget::default(), rest),
        (None, Some((info, rest))) => (of_kind(info), rest),
        (None, None) => (IntentTarget::default(), rest),
    };
    let rest = rest.past(&["that", "which", "who", "do"]);
    let mut params = IntentParams::default();
    let value = |rest: &Words<'_>| {
        rest.only()
            .map(|t| t.text.clone())
            .filter(|t| !t.is_empty() && t.len() <= 253)
    };
    if let Some(image) = rest.after(RUNS_IMAGE) {
        params.image = Some(value(&image).filter(|i| names::is_image(i))?);
    } else if let Some(image) = rest.after(RUNS) {
        let image = value(&image).filter(|i| names::is_image(i) && i.contains([':', '/']))?;
        params.image = Some(image);
    } else if let Some(text) = rest.after(HOLDS) {
        params.text = Some(value(&text)?);
    } else if let Some(owner) = rest.after(BELONGS).filter(|_| target.kind.is_none() || looks) {
        params.from = Some(owner_of(&owner.past(&["the", "my", "our"]))?);
    } else if let Some(labels) = rest.after(LABELLED).filter(|_| target.kind.is_none()) {
        target.selector = Some(labels_of(&labels)?);
    } else {
        return None;
    }
    match place {
        Place::Here => {}
        Place::Everywhere => target.all_namespaces = true,
        Place::In(name) => target.namespace = Some(name),
    }
    Some(Draft {
        action: Action::Find,
        target,
        params,
    })
}

/// Where is looked.
enum Place {
    Here,
    Everywhere,
    In(String),
}

/// Takes the place off the end, or from the middle where the criterion follows it.
fn placed<'a>(words: &Words<'a>) -> Option<(Words<'a>, Place)> {
    let everywhere: &[&str] = &[
        "everywhere",
        "in all namespaces",
        "across all namespaces",
        "in every namespace",
        "in any namespace",
        "-a",
        "in the cluster",
        "in the whole cluster",
        "cluster-wide",
    ];
    for at in 0..words.toks.len() {
        let tail = words.from(at);
        if tail.after(everywhere).is_some_and(|rest| rest.is_empty()) {
            return Some((words.upto(at), Place::Everywhere));
        }
        let Some(named) = tail.after(&[
            "in namespace",
            "in the namespace",
            "in ns",
            "in the",
            "in",
            "-n",
            "within",
        ]) else {
            continue;
        };
        let name = named
            .toks
            .first()
            .filter(|t| names::is_label(&t.text) || t.shape == Shape::Quoted);
        let over = named.from(1).past(&["namespace", "ns"]);
        if let Some(name) = name.filter(|_| over.is_empty()) {
            return Some((words.upto(at), Place::In(name.text.clone())));
        }
    }
    Some((*words, Place::Here))
}

/// `deployment web`, `deployment/web`, `web`.
fn owner_of(words: &Words<'_>) -> Option<String> {
    let fits = |name: &str| names::is_subdomain(name);
    if let Some(one) = words.only() {
        let (kind, name) = one.text.split_once('/').unwrap_or(("", &one.text));
        if kind.is_empty() {
            return fits(name).then(|| name.to_owned());
        }
        let info = words.lexicon.exact(&kind.to_lowercase())?;
        return fits(name).then(|| format!("{}/{name}", info.kind.to_lowercase()));
    }
    let (info, rest) = words.kind()?;
    let name = rest.only()?.text.clone();
    fits(&name).then(|| format!("{}/{name}", info.kind.to_lowercase()))
}

/// `a=b`, `a=b and c=d`.
fn labels_of(words: &Words<'_>) -> Option<String> {
    let mut all = vec![];
    for token in words.toks {
        match token.key.as_str() {
            "and" | "," => {}
            _ => {
                let (key, value) = token.text.split_once('=')?;
                let value = value.trim_start_matches('=');
                (names::is_key(key) && names::is_label_value(value)).then_some(())?;
                all.push(format!("{key}={value}"));
            }
        }
    }
    (!all.is_empty()).then(|| all.join(","))
}

#[cfg(test)]
#[path = "lookups_tests.rs"]
mod tests;
