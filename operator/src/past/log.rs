//! What the audit log tells of the hour before a leader began.

use std::collections::HashMap;

use jiff::Timestamp;
use kubechat_audit::{Entry, EventType, Outcome};
use kubechat_core::plan::actions;
use serde_json::Value;

use super::{Many, Past, Removed, beside, hour_before};
use crate::audit::{Audit, TARGETS_TOTAL};
use crate::error::Error;

/// Reason of the entry that tells of a plan that was made.
pub const PLAN_MADE: &str = "PlanMade";

impl Removed {
    /// What the log tells of the last hour, page by page: at the start of a leader, who saw none of it. What of the log
    /// cannot be read, or is not what was recorded, is counted and keeps nobody from leading.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn read(audit: &Audit, now: Timestamp) -> Result<(Self, u64), Error> {
        let since = hour_before(now);
        let mut plans: HashMap<String, Past> = HashMap::new();
        let (mut end, mut unread) = (None, 0);
        loop {
            let page = audit.page(end).await?;
            unread += page.unread;
            for entry in page.entries.iter().filter(|entry| entry.time >= since) {
                let payload = if is_intent(entry) {
                    beside(audit, entry.seq).await?
                } else {
                    Some(Value::Null)
                };
                unread += u64::from(payload.is_none());
                // Without it, the entry itself names one of its targets.
                read(&mut plans, entry, &payload.unwrap_or_default());
            }
            let reached = page.entries.first().is_some_and(|first| first.time < since);
            end = page.next.filter(|_| !reached);
            if end.is_none() {
                break;
            }
        }
        let all = Self::default();
        for past in plans.into_values() {
            all.keep(past, now);
        }
        Ok((all, unread))
    }
}

fn is_intent(entry: &Entry) -> bool {
    entry.event_type == EventType::CommandExecution && entry.outcome == Outcome::Intent
}

/// Adds what one entry tells of a plan.
fn read(plans: &mut HashMap<String, Past>, entry: &Entry, payload: &Value) {
    let made = entry.event_type == EventType::CommandGeneration && entry.reason == PLAN_MADE;
    let Some(uid) = entry.ids.plan_uid.clone().filter(|_| made || is_intent(entry)) else {
        return;
    };
    let past = plans.entry(uid.clone()).or_insert_with(|| Past {
        plan: uid,
        turn: entry.ids.request_uid.clone().unwrap_or_default(),
        username: entry.actor.username.clone(),
        made: Some(entry.time),
        ..Past::default()
    });
    // The newest entries are read first.
    past.made = past.made.min(Some(entry.time));
    if !is_intent(entry) {
        return;
    }
    past.begun = past.begun.max(Some(entry.time));
    past.effect = true;
    let Some(first) = &entry.target else { return };
    let group = first.group.clone().unwrap_or_default();
    let removes = actions::removes(&entry.verb);
    let mut touch = |kind: Option<&str>, namespace: Option<&str>, name: Option<&str>, uid: Option<&str>| {
        let object = (
            group.clone(),
            kind.unwrap_or_default().to_owned(),
            namespace.map(str::to_owned),
            name.unwrap_or_default().to_owned(),
        );
        past.touches(object, uid.map(str::to_owned), removes);
    };
    let listed = payload.pointer("/targets").and_then(Value::as_array);
    let named = match listed.filter(|targets| !targets.is_empty()) {
        Some(targets) => {
            for target in targets {
                let text = |key: &str| target.get(key).and_then(Value::as_str);
                touch(text("kind"), text("namespace"), text("name"), text("uid"));
            }
            targets.len()
        }
        // Where an AuditPolicy leaves the payload out, the entry itself names one.
        None => {
            touch(
                first.kind.as_deref(),
                first.namespace.as_deref(),
                first.name.as_deref(),
                first.uid.as_deref(),
            );
            1
        }
    };
    // Those that are not named count all the same.
    let all = payload.get(TARGETS_TOTAL).and_then(Value::as_u64);
    let all = all.map_or(named, |all| usize::try_from(all).unwrap_or(usize::MAX));
    let rest = all.saturating_sub(named);
    past.unnamed.add(Many {
        changed: rest,
        deleted: if removes { rest } else { 0 },
        ..Many::default()
    });
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
