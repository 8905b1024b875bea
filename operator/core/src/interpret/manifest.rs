//! A manifest pasted into the prompt: `apply` (or `diff`), and below it YAML or JSON. Above, beside or below it stand a few words only;
//! with any other word it is no manifest to apply, and read as a sentence.
//!
//! **Invariant:** the manifest is read from the prompt as it was written, never from its cleaned text, which has other
//! blanks and quotes.

use kubechat_crds::intent::{Action, IntentParams, IntentTarget};
use serde_json::Value;

use super::{Ask, Draft, names};
use crate::plan::actions::apply;

/// What may stand beside `apply`: nothing in it changes what is asked for.
#[rustfmt::skip]
const FILLERS: &[&str] = &[
    "please", "pls", "kindly", "can", "could", "would", "you", "i", "we", "want", "need", "to", "let's", "lets", "just",
    "now", "go", "ahead", "and", "me", "us", "for", "hi", "hello", "hey", "thanks", "thank", "this", "that", "these",
    "the", "a", "following", "below", "above", "here", "is", "it", "manifest", "manifests", "yaml", "json", "file",
    "definition", "definitions", "object", "objects", "resource", "resources", "config", "configuration", "kubernetes",
    "kubectl", "k", "$", "cat", "|", "-f", "-", "-f-", "--filename=-", "--server-side", "--server-side=true", "cluster",
    "like", "run", "use", "my", "new", "documents", "document", "then", "in",
];
/// What may also stand beside `diff`.
const AGAINST: &[&str] = &[
    "with", "against", "live", "what", "running", "there", "state", "current", "between", "one", "what's",
];
/// What comes before an "is" that states something.
#[rustfmt::skip]
const STATED: &[&str] = &[
    "here", "below", "above", "this", "that", "it", "following", "manifest", "yaml", "json", "file", "definition", "object",
    "resource", "config", "configuration", "document",
];
/// What comes before the name of a namespace.
const PLACES: &[&str] = &["in", "into", "to", "-n", "--namespace", "inside", "within"];
/// Longest manifest, in bytes of JSON; the API has the same limit.
const MAX_MANIFEST: usize = 16_384;

/// Of all manifests of a prompt: aliases make more of it than was written.
const MAX_ALL: usize = 4 * MAX_MANIFEST;

/// A prompt that holds a manifest.
struct Parts<'t> {
    /// Lines before it and after it.
    words: Vec<&'t str>,
    /// Its lines.
    body: Vec<&'t str>,
}

/// What the words beside a manifest say.
#[derive(Default)]
struct Said {
    diff: bool,
    namespace: Option<String>,
    dry_run: bool,
}

/// The drafts of a prompt that is a manifest to apply; `None` where it is none. `hidden` says that it holds characters that
/// nobody sees.
pub(super) fn read(prompt: &str, hidden: bool) -> Option<Result<Vec<Draft>, Ask>> {
    let parts = split(prompt)?;
    let words: Vec<String> = parts.words.iter().flat_map(|line| words_of(line)).collect();
    if words.is_empty() {
        let asks = "What should be done with this manifest? To make or change what it describes, write apply above it";
        return Some(Err(Ask::new(asks).firm()));
    }
    let said = match said(&words)? {
        Ok(said) => said,
        Err(ask) => return Some(Err(ask)),
    };
    let marked = parts.words.iter().any(|line| line.contains('?'));
    if !said.diff && asks(&words, marked) {
        let asks = "Is that a question or a request? Nothing was done. To request it, write only apply above the manifest; to \
                    see what it would change, write diff";
        return Some(Err(Ask::new(asks).firm()));
    }
    if hidden {
        let asks = "The manifest holds characters that nobody can see. Nothing was done; take them out and ask again";
        return Some(Err(Ask::new(asks).firm()));
    }
    Some(drafts(&parts.body, &said))
}

/// Whether a prompt holds a pasted manifest, whatever is said beside it.
pub(super) fn holds_one(prompt: &str) -> bool {
    split(prompt).is_some()
}

/// The words of a line, without the marks around them.
fn words_of(line: &str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| {
            let word = word.to_lowercase().replace('\u{2019}', "'");
            word.trim_end_matches([':', ',', '.', '!', '?', ';', '\'', '"', '`'])
                .trim_start_matches(['\'', '"', '`'])
                .to_owned()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// Whether a line begins a manifest.
fn begins(line: &str) -> bool {
    let line = line.trim_start();
    let keys = [
        "apiVersion:",
        "kind:",
        "metadata:",
        "\"apiVersion\"",
        "---",
        "{",
        "# ",
    ];
    keys.iter().any(|key| line.starts_with(key))
}

/// The backticks that a line opens a fence with, and what stands behind them.
fn fence(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start_matches('`');
    let ticks = line.get(..line.len() - rest.len())?;
    (ticks.len() >= 3).then_some((ticks, rest.trim()))
}

/// The word that ends the here-document which a line opens.
fn here_document(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("<<").filter(|(_, rest)| !rest.starts_with('<'))?;
    let word = rest.split_whitespace().next()?.trim_matches(['\'', '"']);
    (!word.is_empty()).then_some(word)
}

/// Whether a line is the beginning of a manifest whatever stands in it: a text may hold "<<".
fn is_body(line: &str) -> bool {
    let line = line.trim_start();
    ["{", "[", "apiVersion:", "kind:", "---"]
        .iter()
        .any(|key| line.starts_with(key))
}

/// Where in a prompt a line stands.
enum Place<'t> {
    Before,
    /// In a manifest that nothing ends but the prompt.
    Bare,
    Fence(&'t str),
    Here(&'t str),
    /// Behind a fence; another may follow.
    BehindFence,
    /// Behind a here-document, which is not opened again.
    BehindHere,
}

/// Parts the words from the manifest; `None` where there is no manifest. What ends it is only the mark that was opened, at
/// the beginning of a line: no text within a manifest stands there.
fn split(prompt: &str) -> Option<Parts<'_>> {
    let mut parts = Parts {
        words: vec![],
        body: vec![],
    };
    let mut place = Place::Before;
    let mut quote = None;
    // Each line of the body is looked at once.
    let (mut comments, mut seen) = (true, 0);
    for line in prompt.lines() {
        comments = comments && parts.body.iter().skip(seen).all(|line| is_comment(line));
        seen = parts.body.len();
        let opened = fence(line).filter(|_| match place {
            Place::Before | Place::BehindFence => true,
            Place::Bare => comments,
            Place::Fence(_) | Place::Here(_) | Place::BehindHere => false,
        });
        if let Some((ticks, info)) = opened {
            if !matches!(info, "" | "yaml" | "yml" | "json") {
                parts.words.push(info);
            }
            place = Place::Fence(ticks);
            continue;
        }
        match place {
            Place::Before => {
                // "apply {"a": "<<b"}" opens no here-document.
                let before_json = line.split('{').next().unwrap_or_default();
                let here = here_document(line).filter(|_| before_json.contains("<<") && !is_body(line));
                if let Some(word) = here {
                    parts.words.push(line);
                    place = Place::Here(word);
                } else if begins(line) || is_body(line) {
                    parts.body.push(line);
                    place = Place::Bare;
                } else if let Some((words, json)) = line.split_once('{') {
                    quote = words
                        .chars()
                        .next_back()
                        .filter(|c| matches!(c, '\'' | '"' | '`'));
                    parts.words.push(words);
                    parts.body.push(line.get(line.len() - json.len() - 1..)?);
                    place = Place::Bare;
                } else {
                    parts.words.push(line);
                }
            }
            Place::Bare => parts.body.push(line),
            // "``` no, wait": what is said behind the end is said.
            Place::Fence(ticks) => match line.strip_prefix(ticks).filter(|rest| !rest.starts_with('`')) {
                Some(rest) => {
                    parts.words.push(rest);
                    place = Place::BehindFence;
                }
                None => parts.body.push(line),
            },
            Place::Here(word) if line.trim_end() == word => place = Place::BehindHere,
            Place::Here(_) => parts.body.push(line),
            Place::BehindFence | Place::BehindHere => parts.words.push(line),
        }
    }
    let last = parts.body.iter().rposition(|line| !line.trim().is_empty())?;
    if let (Some(quote), Some(line)) = (quote, parts.body.get_mut(last)) {
        *line = line.trim_end().strip_suffix(quote).unwrap_or(line);
    }
    // Where nothing ends it, a last line that is no YAML.
    let plain = |line: &str| {
        let known = words_of(line)
            .iter()
            .all(|w| w == "apply" || FILLERS.contains(&w.as_str()));
        !line.starts_with([' ', '\t', '-', '}', ']', '\'', '"', '`']) && !line.contains(':') && known
    };
    let bare = matches!(place, Place::Bare) && last > 0;
    if bare && parts.body.get(last).is_some_and(|line| plain(line)) {
        let tail = parts.body.split_off(last);
        parts.words.extend(tail);
    }
    let known = parts.body.iter().any(|line| line.contains("apiVersion"));
    known.then_some(parts)
}

fn is_comment(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

/// Whether the words beside a manifest ask about it. "can you apply this?" is a request.
fn asks(words: &[String], marked: bool) -> bool {
    let word = |at: Option<usize>| at.and_then(|at| words.get(at)).map_or("", String::as_str);
    let mut polite = false;
    let question = words.iter().enumerate().any(|(at, said)| {
        let (before, next) = (word(at.checked_sub(1)), word(Some(at + 1)));
        match said.as_str() {
            "is" => !STATED.contains(&before),
            "can" | "could" | "would" => {
                let requests = next == "you" || next == "we" && said != "would";
                polite |= requests;
                let states = before == "you" || matches!(before, "i" | "we") && said == "would";
                !(requests || states)
            }
            _ => false,
        }
    });
    question || marked && !polite
}

/// What the words beside a manifest say; `None` where they are not only a request to apply it.
fn said(words: &[String]) -> Option<Result<Said, Ask>> {
    let mut said = Said::default();
    let mut verbs = 0;
    let mut at = words.iter().map(String::as_str).peekable();
    while let Some(word) = at.next() {
        if matches!(word, "apply" | "diff" | "compare") {
            verbs += 1;
            said.diff = word != "apply";
            continue;
        }
        let given = word.strip_prefix("--namespace=").map(str::to_owned);
        if let Some(place) = given.or_else(|| PLACES.contains(&word).then(|| place(&mut at)).flatten()) {
            let next = at
                .clone()
                .find(|word| !matches!(*word, "kubernetes" | "k8s" | "k"));
            if next == Some("cluster") {
                let asks = format!(
                    "A manifest is applied in this cluster only, and {} is said to be another one. Nothing was done; name a namespace, or leave it out",
                    names::shown(&place)
                );
                return Some(Err(Ask::new(asks).firm()));
            }
            if said.namespace.replace(place).is_some() {
                return Some(Err(Ask::new("Two namespaces are named; say one of them").firm()));
            }
            continue;
        }
        match word {
            "--dry-run" | "--dry-run=server" | "--dry-run=client" => said.dry_run = true,
            "-f" | "--filename" if at.peek().is_some_and(|next| *next != "-") => {
                let asks = "A file is not read here. Paste the manifest below the word apply";
                return Some(Err(Ask::new(asks).firm()));
            }
            _ if word.starts_with("<<") || FILLERS.contains(&word) => {}
            _ if said.diff && AGAINST.contains(&word) => {}
            _ if word.starts_with("--") && verbs > 0 && words.iter().any(|w| w == "kubectl") => {
                let flag = word.split('=').next().unwrap_or(word);
                let asks = format!(
                    "The flag {flag} of kubectl apply is not modelled here; nothing was done. Leave it out"
                );
                return Some(Err(Ask::new(asks).firm()));
            }
            _ => return None,
        }
    }
    (verbs == 1).then_some(Ok(said))
}

/// The namespace that follows; `None` where none does.
fn place<'w>(at: &mut std::iter::Peekable<impl Iterator<Item = &'w str> + Clone>) -> Option<String> {
    let mut ahead = at.clone();
    let mut taken = 0;
    let mut next = || {
        taken += 1;
        ahead.next()
    };
    let mut word = next()?;
    if word == "the" {
        word = next()?;
    }
    if matches!(word, "namespace" | "ns") {
        word = next()?;
    }
    if !names::is_label(word) || FILLERS.contains(&word) || word == "apply" {
        return None;
    }
    let name = word.to_owned();
    for _ in 0..taken {
        at.next();
    }
    at.next_if(|word| matches!(*word, "namespace" | "ns"));
    Some(name)
}

fn drafts(lines: &[&str], said: &Said) -> Result<Vec<Draft>, Ask> {
    let mut documents = vec![String::new()];
    for line in lines {
        let mark = line.trim_end();
        let behind = mark.strip_prefix("---");
        if let Some(behind) = behind.filter(|b| b.is_empty() || b.starts_with([' ', '\t'])) {
            documents.push(format!("{}\n", behind.trim_start()));
        } else if let Some(last) = documents.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    documents.retain(|text| !text.lines().all(is_comment));
    if documents.is_empty() {
        return Err(Ask::new("There is no manifest to apply").firm());
    }
    let drafts = documents
        .iter()
        .map(|d| draft(d, said))
        .collect::<Result<Vec<_>, _>>()?;
    let all: usize = drafts
        .iter()
        .filter_map(|d| d.params.manifest.as_ref())
        .map(String::len)
        .sum();
    if all > MAX_ALL {
        let asks = format!("The manifests are longer than {MAX_ALL} bytes together; send them in parts");
        return Err(Ask::new(asks).firm());
    }
    Ok(drafts)
}

fn draft(document: &str, said: &Said) -> Result<Draft, Ask> {
    // As kubectl reads it: `defaultMode: 0400` is an octal number.
    let as_kubectl = serde_saphyr::options! { legacy_octal_numbers: true };
    let read = serde_saphyr::from_str_with_options(document, as_kubectl);
    let mut manifest: Value = read.map_err(|e| {
        let why = e.to_string();
        let first = why.lines().next().unwrap_or_default();
        Ask::new(format!("The manifest is no YAML: {}", names::shown(first))).firm()
    })?;
    apply::tidy(&mut manifest);
    let about = apply::about(&manifest).map_err(|why| {
        let mut why = why;
        if let Some(first) = why.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Ask::new(why).firm()
    })?;
    if let Some(problem) = names::object_problem(about.name, Some(about.kind)) {
        return Err(Ask::new(problem).firm());
    }
    let place = match (about.namespace, said.namespace.as_deref()) {
        (Some(a), Some(b)) if a != b => {
            return Err(Ask::new(format!(
                "The manifest is for namespace {}, the request for {b}; say one of the two",
                names::shown(a)
            ))
            .firm());
        }
        (a, b) => a.or(b),
    };
    if let Some(place) = place.filter(|p| !names::is_label(p)) {
        return Err(Ask::new(format!("{} is no name of a namespace", names::shown(place))).firm());
    }
    let text = manifest.to_string();
    if text.len() > MAX_MANIFEST {
        let asks = format!(
            "The manifest of {} is longer than {MAX_MANIFEST} bytes",
            names::shown(about.name)
        );
        return Err(Ask::new(asks).firm());
    }
    Ok(Draft {
        action: if said.diff { Action::Diff } else { Action::Apply },
        target: IntentTarget {
            kind: Some(about.kind.to_owned()),
            group: Some(about.group.to_owned()).filter(|g| !g.is_empty()),
            names: vec![about.name.to_owned()],
            namespace: place.map(str::to_owned),
            ..IntentTarget::default()
        },
        params: IntentParams {
            manifest: Some(text),
            dry_run: (said.dry_run && !said.diff).then_some(true),
            ..IntentParams::default()
        },
    })
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
