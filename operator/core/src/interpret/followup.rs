//! Follow-ups that only a session makes complete: "now make it 7", "no, 4", "same for redis", "and in staging?".
//!
//! **Invariant:** what is understood without a session means the same in one: every form here is refused alone. A change
//! comes only of the one request that is meant; where it could be several, the person is asked.

use kubechat_crds::intent::{Action, Intent, IntentParams};

use super::lexicon::Lexicon;
use super::scope::Scope;
use super::session::{self, Earlier};
use super::tables::CORRECTIONS;
use super::token::{Shape, Token};
use super::{Ask, Draft, names, scope, sentence, vocab, words};

const LEAD: &[&str] = &[
    "now", "ok", "okay", "and", "please", "then", ",", "well", "so", "great", "yes", "also",
];
/// Questions by their form, requests by what they mean.
const ASKED: &[&str] = &[
    "can you",
    "could you",
    "would you",
    "will you",
    "can u",
    "could u",
    "can we",
    "could we",
];
const MARKS: &[&str] = &[
    ".", "!", "?", "please", "now", "instead", "too", "as", "well", "then",
];
const NEW_TOTAL: &[&str] = &["make it", "make that", "set it to", "change it to"];
const SAME_FOR: &[&str] = &[
    "same for",
    "the same for",
    "do the same for",
    "same with",
    "do the same to",
    "do the same with",
    "same thing for",
    "same to",
    "do that for",
    "repeat that for",
    "repeat for",
    "the same thing for",
];
const SAME_IN: &[&str] = &[
    "same in",
    "the same in",
    "do the same in",
    "do that in",
    "same thing in",
    "repeat that in",
    "repeat in",
    "do it in",
    "the same for namespace",
    "same for namespace",
];
const DO_IT: &[&str] = &["do it", "do that", "go ahead", "do so", "go for it", "make it so"];
const OF_THEM: &[&str] = &["of them", "of those", "of these", "one", "ones"];
const ORDINALS: &[&str] = &["first", "second", "third", "fourth", "fifth"];

/// What a follow-up comes to.
pub(super) struct Follow {
    pub(super) drafts: Vec<Draft>,
    /// It goes on with a question about a change, and is one.
    pub(super) only_asked: bool,
}

impl Follow {
    fn of(turn: &Earlier, drafts: Vec<Draft>) -> Option<Self> {
        Some(Self {
            drafts,
            only_asked: turn.only_asked,
        })
    }
}

/// Reads the prompt as a follow-up of the session's last turns, if it is one.
pub(super) fn read(tokens: &[Token], scope: &Scope<'_>) -> Result<Option<Follow>, Ask> {
    if !scope.turn.is_empty() {
        return Ok(None);
    }
    let (rest, polite) = lead(tokens);
    let follow = followed(rest, scope)?;
    let asks = !polite
        && tokens
            .iter()
            .rev()
            .find(|t| t.key != ".")
            .is_some_and(|t| t.key == "?");
    let plans = |f: &Follow| !f.only_asked && f.drafts.iter().any(|d| !d.action.is_read());
    if asks && follow.as_ref().is_some_and(plans) {
        return Err(Ask::new(
            "Is that a question or a request? To request it, say it without the question mark",
        )
        .firm());
    }
    Ok(follow)
}

/// What follows the words before a request, and whether they are a polite question ("can you make it 7?").
fn lead(tokens: &[Token]) -> (&[Token], bool) {
    let skip = |tokens: &[Token]| {
        let leads = tokens.iter().take_while(|t| LEAD.contains(&t.key.as_str()));
        leads.count()
    };
    let rest = tokens.get(skip(tokens)..).unwrap_or_default();
    match starts(rest, ASKED) {
        None => (rest, false),
        Some(len) => {
            let rest = rest.get(len..).unwrap_or_default();
            (rest.get(skip(rest)..).unwrap_or_default(), true)
        }
    }
}

fn followed(rest: &[Token], scope: &Scope<'_>) -> Result<Option<Follow>, Ask> {
    let tail = rest
        .iter()
        .rev()
        .take_while(|t| MARKS.contains(&t.key.as_str()))
        .count();
    let (body, marks) = rest.split_at(rest.len() - tail);
    let Some(last) = session::last(scope.session).filter(|_| !body.is_empty()) else {
        return Ok(None);
    };
    let mark = marks.iter().any(|t| t.key == "?");
    if let Some(choice) = chosen(last, body, scope.lexicon)? {
        return Ok(Some(choice));
    }
    // "can you do it?" may ask whether it can be done.
    if starts(body, DO_IT) == Some(body.len()) && last.only_asked && !mark {
        return Ok(Some(Follow {
            drafts: last.intents.iter().map(draft).collect(),
            only_asked: false,
        }));
    }
    if let Some(rest) = after(body, NEW_TOTAL) {
        return new_total(scope.session, rest);
    }
    if let Some(rest) = after(body, SAME_IN) {
        return elsewhere(last, rest, true, scope.lexicon);
    }
    if let Some(rest) = after(body, SAME_FOR) {
        return same_for(last, rest);
    }
    if let Some(rest) = after(body, &["in", "what about in", "how about in"]) {
        return elsewhere(last, rest, !mark, scope.lexicon);
    }
    let mut rest = body;
    // "sorry, I meant api"
    while let Some(after) = after(rest, CORRECTIONS) {
        rest = after;
    }
    match body.len() - rest.len() {
        0 => Ok(None),
        words => corrected(last, rest, words > 1, scope.lexicon),
    }
}

/// "which of them restarted most": the question with the kind in it, and the request that says which objects.
pub(super) fn of_them<'s>(
    tokens: &[Token],
    scope: &Scope<'s>,
) -> Result<Option<(Vec<Token>, &'s Intent)>, Ask> {
    let skip = tokens
        .iter()
        .take_while(|t| LEAD.contains(&t.key.as_str()))
        .count();
    let body = tokens.get(skip..).unwrap_or_default();
    let (Some(which), Some(words)) = (body.first(), body.get(1..)) else {
        return Ok(None);
    };
    let Some(len) = starts(words, OF_THEM).filter(|_| which.key == "which" && scope.turn.is_empty()) else {
        return Ok(None);
    };
    let Some(turn) = session::last(scope.session) else {
        return Ok(None);
    };
    let meant = turn.single().filter(|i| i.target.kind.is_some());
    let info = meant.and_then(|i| scope.lexicon.by_kind(i.target.kind.as_deref()?));
    let (Some(meant), Some(info), Some(word)) = (meant, info, words.first()) else {
        return Err(Ask::new(
            "Which of what? The request before listed no one kind of object; say the kind",
        ));
    };
    let kind = Token {
        key: info.plural.to_lowercase(),
        text: info.plural.to_lowercase(),
        ..word.clone()
    };
    let rest = words.get(len..).unwrap_or_default().iter().cloned();
    Ok(Some((
        [which.clone(), kind].into_iter().chain(rest).collect(),
        meant,
    )))
}

/// Length of the longest of `phrases` at the beginning.
fn starts(tokens: &[Token], phrases: &[&str]) -> Option<usize> {
    vocab::phrase_len(phrases, |i| tokens.get(i).map_or("", |t| t.key.as_str()))
}

/// What follows one of `phrases`.
fn after<'t>(tokens: &'t [Token], phrases: &[&str]) -> Option<&'t [Token]> {
    let rest = tokens.get(starts(tokens, phrases)?..)?;
    let comma = rest.iter().take_while(|t| t.key == ",").count();
    rest.get(comma..).filter(|rest| !rest.is_empty())
}

fn draft(intent: &Intent) -> Draft {
    Draft {
        action: intent.action,
        target: intent.target.clone(),
        params: intent.params.clone(),
    }
}

/// The one request of a turn, or why there is none to follow.
fn single(turn: &Earlier) -> Result<&Intent, Ask> {
    turn.single()
        .ok_or_else(|| Ask::new("The turn before asked for several things; say the whole request").firm())
}

/// A whole number and nothing else, or with a word for replicas.
fn count(tokens: &[Token]) -> Option<i32> {
    let (n, len) = words::number(|i| tokens.get(i).map_or("", |t| t.key.as_str()))?;
    let rest: Vec<&str> = tokens.get(len..)?.iter().map(|t| t.key.as_str()).collect();
    let plain = matches!(rest[..], [] | ["replicas" | "replica" | "pods" | "instances"]);
    i32::try_from(n).ok().filter(|n| plain && *n <= 1_000_000)
}

/// "make it 7": a new total for the one workload that was scaled when objects were last named.
fn new_total(session: &[Earlier], tokens: &[Token]) -> Result<Option<Follow>, Ask> {
    let (Some(replicas), Some(turn)) = (count(tokens), session::last_meant(session)) else {
        return Ok(None);
    };
    let intent = single(turn)?;
    if intent.action != Action::Scale {
        return Ok(None);
    }
    let params = IntentParams {
        replicas: Some(replicas),
        ..IntentParams::default()
    };
    Ok(Follow::of(
        turn,
        vec![Draft {
            params,
            ..draft(intent)
        }],
    ))
}

/// "same for redis": the last request for other names of the same kind.
fn same_for(turn: &Earlier, tokens: &[Token]) -> Result<Option<Follow>, Ask> {
    let intent = single(turn)?;
    let joins = |t: &&Token| matches!(t.key.as_str(), "," | "and");
    let mut names = Vec::new();
    for token in tokens.iter().filter(|t| !joins(t)) {
        let reserved = token.shape == Shape::Mark || vocab::is_reserved(&token.key);
        if reserved || token.text.contains('/') {
            return Err(Ask::new(
                "The same for what? Say only names, or the whole request again",
            ));
        }
        names.push(token.text.clone());
    }
    let joined = tokens.iter().any(|t| joins(&t));
    if intent.target.names.is_empty() || names.is_empty() || (names.len() > 1 && !joined) {
        return Err(Ask::new(
            "The last request named no object that could be replaced; say the whole request",
        ));
    }
    is_of_its_names_only(intent)?;
    for name in &names {
        scope::check_name(name, intent.target.kind.as_deref(), intent.action)?;
    }
    let mut same = draft(intent);
    same.target.names = names;
    Ok(Follow::of(turn, vec![same]))
}

/// A manifest says itself which object it is of, and where: with another target it would still change the one it names.
fn is_of_its_target_only(intent: &Intent) -> Result<(), Ask> {
    if intent.params.manifest.is_some() {
        let asks = "The request before was a manifest, which says itself which object it is of. Nothing was done; paste the \
                    manifest of the other object below the word apply or diff";
        return Err(Ask::new(asks).firm());
    }
    Ok(())
}

/// Of what makes something new, its name says least: whom a role is bound to, what is exposed and where a value goes would
/// stay that of the request before.
fn is_of_its_names_only(intent: &Intent) -> Result<(), Ask> {
    is_of_its_target_only(intent)?;
    if super::form_create::makes(intent.action) || intent.params.new_name.is_some() {
        return Err(Ask::new(format!(
            "'{}' holds more than a name; say the whole request for the other one",
            sentence::phrase(intent)
        ))
        .firm());
    }
    Ok(())
}

/// "and in staging?", "the same in staging": the last request in another namespace.
fn elsewhere(turn: &Earlier, tokens: &[Token], said: bool, lexicon: &Lexicon) -> Result<Option<Follow>, Ask> {
    let body: Vec<&Token> = tokens
        .iter()
        .filter(|t| !matches!(t.key.as_str(), "the" | "namespace" | "ns"))
        .collect();
    let all = matches!(&body[..], [a, n] if a.key == "all" && n.key == "namespaces");
    let namespace = match &body[..] {
        [one] if names::is_label(&one.text) && !vocab::is_reserved(&one.key) => Some(one.text.clone()),
        _ => None,
    };
    let key = |i: usize| body.get(i).map_or("", |t| t.key.as_str());
    let number = words::number(key).is_some() || words::duration(key).is_some();
    if number || (namespace.is_none() && !all) {
        return Ok(None);
    }
    let reads = turn.intents.iter().all(|i| i.action.is_read());
    if !reads {
        single(turn)?;
    }
    if all && !reads {
        return Err(Ask::new("A change is made in one namespace; name it").firm());
    }
    if !reads && !said && !turn.only_asked {
        let place = namespace.unwrap_or_default();
        return Err(Ask::with(
            "Is that a question or a request? To request the same change there, say so",
            vec![format!("the same in {place}")],
        )
        .firm());
    }
    let mut drafts: Vec<Draft> = turn.intents.iter().map(draft).collect();
    turn.intents.iter().try_for_each(is_of_its_target_only)?;
    for one in &mut drafts {
        let kind = one.target.kind.as_deref().and_then(|k| lexicon.by_kind(k));
        if kind.is_some_and(|k| !k.namespaced) {
            return Err(
                Ask::new("What was asked for before is in no namespace; say the whole request").firm(),
            );
        }
        one.target.namespace.clone_from(&namespace);
        one.target.all_namespaces = all;
    }
    Ok(Follow::of(turn, drafts))
}

/// "no, 4", "I meant api", "no, in staging": the last request with one value in the place of another.
fn corrected(turn: &Earlier, tokens: &[Token], sure: bool, lexicon: &Lexicon) -> Result<Option<Follow>, Ask> {
    if let Some(rest) = after(tokens, &["in"]) {
        return elsewhere(turn, rest, true, lexicon);
    }
    let tokens = after(tokens, &["make it", "make that", "to"]).unwrap_or(tokens);
    let one = match tokens {
        [one] => Some(one),
        _ => None,
    };
    let number = count(tokens);
    let image = one.filter(|t| names::is_version(&t.text) || names::looks_like_image(&t.text));
    let name = one.filter(|t| {
        let word = matches!(t.shape, Shape::Quoted)
            || !vocab::is_reserved(&t.key) && !words_of_talk(&t.key) && lexicon.exact(&t.key).is_none();
        word && sure && names::is_subdomain(&t.text)
    });
    if number.is_none() && image.is_none() && name.is_none() {
        return Ok(None);
    }
    let intent = single(turn)?;
    let mut new = draft(intent);
    let told = || {
        let before = sentence::phrase(intent);
        Ask::new(format!(
            "I cannot tell what that corrects in '{before}'; say the whole request again"
        ))
        .firm()
    };
    match (number, image, name) {
        (Some(n), _, _) if intent.action == Action::Scale && intent.params.replicas.is_some() => {
            new.params.replicas = Some(n);
        }
        (None, Some(image), _) if intent.action == Action::SetImage => {
            let bare = names::is_version(&image.text);
            new.params.image = Some(if bare {
                format!(":{}", image.text)
            } else {
                image.text.clone()
            });
        }
        // Of an image, a word may be the image as well as the workload.
        (None, None, Some(name)) if intent.target.names.len() == 1 && intent.action != Action::SetImage => {
            is_of_its_names_only(intent)?;
            scope::check_name(&name.text, intent.target.kind.as_deref(), intent.action)?;
            new.target.names = vec![name.text.clone()];
        }
        _ => return Err(told()),
    }
    Ok(Follow::of(turn, vec![new]))
}

/// Words of talk and verbs, which are no name after "no," and the like.
fn words_of_talk(key: &str) -> bool {
    super::tables::PLEASANTRIES.contains(&key)
        || super::tables::NEGATIONS.contains(&key)
        || matches!(key, "nothing" | "nobody" | "nowhere" | "enough")
        || super::tables::TAKEN_BACK.contains(&key)
        || vocab::verb_at(vocab::Form::Base, |i| if i == 0 { key } else { "" }).is_some()
}

/// "deployment/nginx", "nginx", "the first one": one of what the turn before gave to choose from.
fn chosen(turn: &Earlier, body: &[Token], lexicon: &Lexicon) -> Result<Option<Follow>, Ask> {
    let given: Vec<(&str, &str)> = turn.candidates.iter().filter_map(|c| c.split_once('/')).collect();
    if given.is_empty() || given.len() != turn.candidates.len() {
        return Ok(None);
    }
    let skip = starts(body, &["i mean", "i meant", "the", "take", "take the"]).unwrap_or(0);
    let words: Vec<&Token> = body.iter().skip(skip).collect();
    let found: Vec<&(&str, &str)> = match &words[..] {
        [one] | [one, _] if words.len() == 1 || words.get(1).is_some_and(|t| t.key == "one") => {
            let nth = ORDINALS.iter().position(|o| *o == one.key);
            match nth {
                Some(nth) => given.get(nth).into_iter().collect(),
                None => given
                    .iter()
                    .filter(|(kind, name)| {
                        one.text == *name || one.text == format!("{kind}/{name}") || one.key == *kind
                    })
                    .collect(),
            }
        }
        [kind, name] => given
            .iter()
            .filter(|(k, n)| kind.key == *k && name.text == *n)
            .collect(),
        _ => vec![],
    };
    let (kind, name) = match &found[..] {
        [] => return Ok(None),
        [one] => **one,
        _ => {
            return Err(Ask::with(
                "That could still be several of them; say which",
                turn.candidates.clone(),
            )
            .firm());
        }
    };
    let intent = single(turn)?;
    if intent.target.names.len() > 1 {
        return Err(Ask::new("The request before named several objects; say the whole request").firm());
    }
    is_of_its_names_only(intent)?;
    let mut new = draft(intent);
    let info = lexicon.exact(kind);
    new.target.kind = Some(info.map_or_else(|| kind.to_owned(), |i| i.kind.clone()));
    new.target.group = info.map(|i| i.group.clone()).filter(|g| !g.is_empty());
    new.target.names = vec![name.to_owned()];
    new.target.selector = None;
    Ok(Follow::of(turn, vec![new]))
}
