//! Who may still approve a plan, in words: as far as policy names them and RBAC says who holds the verb. It tells people
//! whom to ask, and decides nothing.

use std::collections::BTreeSet;

use kubechat_crds::command_plan::Requirement;
use kubechat_crds::condition::clip;
use kubechat_crds::{CommandPlanSpec, Level};

use super::approval::Facts;
use crate::holders::{Holders, Subject};
use crate::{authz, shown};

/// Most subjects that are named.
const MAX_NAMED: usize = 20;
/// Longest name.
const MAX_TEXT: usize = 300;

/// The order people read them in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Requester,
    Person,
    System,
    Sentence,
}

/// Who may still approve, for the entries of the requirement that are not met yet. Who has approved already and the
/// requester (unless he may confirm) are left out; without `holders` (RBAC cannot be read), the right is described instead.
#[must_use]
pub(super) fn eligible(
    plan: &CommandPlanSpec,
    open: &[&Requirement],
    approved: &[&Facts],
    holders: Option<&Holders>,
) -> Vec<String> {
    let decided: BTreeSet<&str> = approved.iter().filter_map(|facts| facts.username()).collect();
    let requester = plan.requester.username.as_str();
    let free = |user: &str| user != requester && !decided.contains(user);
    let held = holders.and_then(|holders| holders.of(&authz::approver_questions(plan)));
    let mut who = BTreeSet::new();
    for entry in open {
        if !decided.contains(requester) && takes_requester(entry, plan) {
            let how = if entry.signature { ", signed" } else { "" };
            let text = format!("user {} (the requester{how})", shown::identity(requester));
            who.insert((Rank::Requester, text));
        }
        if !entry.users.is_empty() {
            let users = entry.users.iter().filter(|user| free(user));
            who.extend(users.map(|user| (Rank::Person, format!("user {}", shown::identity(user)))));
        } else if !entry.groups.is_empty() {
            who.extend(
                entry
                    .groups
                    .iter()
                    .map(|group| of_group(plan, group, held.as_ref())),
            );
        } else {
            match &held {
                Some(held) => who.extend(holding(plan, held, free)),
                None => who.extend(anyone(plan)),
            }
        }
    }
    who.into_iter()
        .take(MAX_NAMED)
        .map(|(_, text)| clip(text, MAX_TEXT))
        .collect()
}

/// Whether the requester may confirm his own plan by a word that nobody signed: some entry of the requirement takes it.
#[must_use]
pub fn may_self_confirm(plan: &CommandPlanSpec) -> bool {
    let takes = |entry: &Requirement| !entry.signature && takes_requester(entry, plan);
    plan.requirement.iter().any(takes)
}

/// Whether the requester's own decision would count for this entry, signed where it asks for that.
fn takes_requester(entry: &Requirement, plan: &CommandPlanSpec) -> bool {
    let requester = &plan.requester;
    entry.self_confirm
        && plan.risk.level <= Level::Caution
        && !requester.is_service_account()
        && (entry.users.is_empty() || entry.users.contains(&requester.username))
        && (entry.groups.is_empty() || entry.groups.iter().any(|g| requester.groups.contains(g)))
}

/// A group that the policy asks for; whether all of it holds the verb is known where a binding names it.
fn of_group(plan: &CommandPlanSpec, group: &str, held: Option<&BTreeSet<Subject>>) -> (Rank, String) {
    let subject = Subject::Group(group.to_owned());
    let text = match held {
        Some(held) if !held.contains(&subject) => {
            format!(
                "{subject} (those of it who may {})",
                plan.risk.level.approve_verb()
            )
        }
        Some(_) | None => subject.to_string(),
    };
    (Rank::Person, text)
}

/// Those who hold the verb wherever the plan reaches.
fn holding(
    plan: &CommandPlanSpec,
    held: &BTreeSet<Subject>,
    free: impl Fn(&str) -> bool,
) -> Vec<(Rank, String)> {
    let left: Vec<_> = held
        .iter()
        .filter(|subject| match subject {
            Subject::User(user) => free(user),
            Subject::Group(_) => true,
        })
        .map(|subject| {
            let rank = if subject.is_system() {
                Rank::System
            } else {
                Rank::Person
            };
            (rank, subject.to_string())
        })
        .collect();
    if !left.is_empty() {
        return left;
    }
    let rights: Vec<String> = authz::approver_questions(plan)
        .iter()
        .map(authz::Question::describe)
        .collect();
    let text = format!(
        "nobody else that RBAC names: bind role kubechat-approver-{} to somebody, so that he may {}",
        plan.risk.level,
        rights.join(" and ")
    );
    vec![(Rank::Sentence, text)]
}

fn anyone(plan: &CommandPlanSpec) -> Vec<(Rank, String)> {
    authz::approver_questions(plan)
        .iter()
        .map(|question| (Rank::Sentence, format!("anyone who may {}", question.describe())))
        .collect()
}

#[cfg(test)]
#[path = "eligible_tests.rs"]
mod tests;
