//! Follow-ups that only a session makes complete: "now make it 7", "same for redis".

use kubechat_crds::intent::{Action, Intent};

use super::scope::Scope;
use super::token::{Shape, Token};
use super::{Ask, Draft, scope, words};

const LEAD: &[&str] = &[
    "now", "ok", "okay", "and", "please", "then", ",", "well", "so", "great",
];
const MARKS: &[&str] = &[".", "!", "?", "please", "now", "instead", "too", "as", "well"];

/// Reads the prompt as a follow-up of the session's last turn, if it is one.
pub(super) fn read(tokens: &[Token], scope: &Scope<'_>) -> Result<Option<Vec<Draft>>, Ask> {
    let skip = tokens
        .iter()
        .take_while(|t| LEAD.contains(&t.key.as_str()))
        .count();
    let rest = tokens.get(skip..).unwrap_or_default();
    let tail = rest
        .iter()
        .rev()
        .take_while(|t| MARKS.contains(&t.key.as_str()))
        .count();
    let body = rest.get(..rest.len() - tail).unwrap_or_default();
    let Some(last) = scope.session.last().filter(|_| scope.turn.is_empty()) else {
        return Ok(None);
    };
    let keys: Vec<&str> = body.iter().map(|t| t.key.as_str()).collect();
    if let Some(number) = after(
        &keys,
        &[
            &["make", "it"],
            &["make", "that"],
            &["set", "it", "to"],
            &["change", "it", "to"],
        ],
    ) {
        return Ok(new_number(last, number));
    }
    let same: &[&[&str]] = &[
        &["same", "for"],
        &["the", "same", "for"],
        &["do", "the", "same", "for"],
        &["same", "with"],
        &["do", "the", "same", "to"],
        &["do", "the", "same", "with"],
        &["same", "thing", "for"],
        &["same", "to"],
        &["do", "that", "for"],
        &["repeat", "that", "for"],
        &["repeat", "for"],
    ];
    match after(&keys, same) {
        Some(names) if !names.is_empty() => {
            same_for(last, body.get(body.len() - names.len()..).unwrap_or_default())
        }
        Some(_) | None => Ok(None),
    }
}

fn after<'k, 't>(keys: &'k [&'t str], openings: &[&[&str]]) -> Option<&'k [&'t str]> {
    openings.iter().find_map(|opening| {
        let (head, rest) = keys.split_at_checked(opening.len())?;
        (head == *opening).then_some(rest)
    })
}

/// "make it 7" after a scale of something named.
fn new_number(last: &Intent, keys: &[&str]) -> Option<Vec<Draft>> {
    let (n, len) = words::number(|i| keys.get(i).copied().unwrap_or(""))?;
    let rest = keys.get(len..)?;
    if last.action != Action::Scale
        || !(rest.is_empty() || matches!(rest, ["replicas" | "replica" | "pods" | "instances"]))
    {
        return None;
    }
    let replicas = i32::try_from(n).ok().filter(|n| *n <= 1_000_000)?;
    let params = kubechat_crds::intent::IntentParams {
        replicas: Some(replicas),
        ..Default::default()
    };
    Some(vec![Draft {
        action: Action::Scale,
        target: last.target.clone(),
        params,
    }])
}

/// "same for redis": the last request for other names of the same kind.
fn same_for(last: &Intent, tokens: &[Token]) -> Result<Option<Vec<Draft>>, Ask> {
    let mut names = Vec::new();
    for token in tokens.iter().filter(|t| !matches!(t.key.as_str(), "," | "and")) {
        let reserved = token.shape == Shape::Mark || super::vocab::is_reserved(&token.key);
        if reserved || token.text.contains('/') {
            return Err(Ask::new(
                "The same for what? Say only names, or the whole request again",
            ));
        }
        names.push(token.text.clone());
    }
    let commas = tokens
        .iter()
        .filter(|t| matches!(t.key.as_str(), "," | "and"))
        .count();
    if last.target.names.is_empty() || names.is_empty() || (names.len() > 1 && commas == 0) {
        return Err(Ask::new(
            "The last request named no object that could be replaced; say the whole request",
        ));
    }
    for name in &names {
        scope::check_name(name, last.target.kind.as_deref(), last.action)?;
    }
    let mut target = last.target.clone();
    target.names = names;
    Ok(Some(vec![Draft {
        action: last.action,
        target,
        params: last.params.clone(),
    }]))
}
