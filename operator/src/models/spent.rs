//! What people used of providers within the last day, as the audit log tells: budgets hold over a restart, and with another
//! leader.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kubechat_audit::{Entry, EventType, Outcome};
use kubechat_core::models::budget::Used;
use serde_json::Value;

use super::record::VERB;
use crate::audit::Audit;
use crate::error::Error;

/// What budgets are of.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Calls that are looked at, at most: more would keep the next leader from beginning.
const MAX_CALLS: usize = 100_000;

/// By the provider's name.
pub(super) async fn within_a_day(audit: &Audit, now: Timestamp) -> Result<BTreeMap<String, Used>, Error> {
    let mut all: BTreeMap<String, Used> = BTreeMap::new();
    let mut next = audit
        .first_since(now.saturating_sub(DAY).unwrap_or(Timestamp::UNIX_EPOCH))
        .await?;
    let mut calls = 0;
    loop {
        let page = audit.of_type(EventType::Outbound, next).await?;
        if page.unread > 0 {
            let many = page.unread;
            tracing::error!(
                "{many} entries of the audit log cannot be read: of the last day's calls of models not all may count for the budgets"
            );
        }
        for entry in page.entries.iter().filter(|entry| is_a_turns(entry)) {
            calls += 1;
            if calls > MAX_CALLS {
                tracing::error!(
                    "more than {MAX_CALLS} calls of models within a day: not all count for the budgets"
                );
                return Ok(all);
            }
            let payload = match audit.payload(entry.seq).await {
                Ok(payload) => payload,
                Err(Error::Audit(kubechat_audit::Error::Integrity { .. })) => continue,
                Err(error) => return Err(error),
            };
            count(&mut all, entry, &payload);
        }
        next = page.next;
        if !page.more {
            return Ok(all);
        }
    }
}

/// Whether it tells how a call for a turn ended.
fn is_a_turns(entry: &Entry) -> bool {
    entry.verb == VERB && entry.outcome != Outcome::Intent
}

fn count(all: &mut BTreeMap<String, Used>, entry: &Entry, payload: &Value) {
    let provider = entry.target.as_ref().and_then(|target| target.name.clone());
    let tokens = |field: &str| payload[field].as_u64().unwrap_or_default();
    let at = u64::try_from(entry.time.as_second()).unwrap_or_default();
    all.entry(provider.unwrap_or_default()).or_default().spend(
        &entry.actor.username,
        tokens("tokensIn").saturating_add(tokens("tokensOut")),
        at,
    );
}

#[cfg(test)]
mod tests {
    use kubechat_audit::{Actor, Draft, Target};
    use kubechat_core::models::budget::{Limits, Over};
    use kubechat_crds::AuditPolicySpec;
    use kubechat_crds::audit_policy::AuditLevel;
    use serde_json::json;

    use super::*;
    use crate::testing::process::{Fuse, World};

    fn call(who: &str, provider: &str, tokens: u64) -> Draft {
        let mut draft = Draft::new(
            EventType::Outbound,
            Actor::named(who),
            VERB,
            Outcome::Success,
            "OutboundDone",
        );
        draft.target = Some(Target {
            name: Some(provider.to_owned()),
            ..Target::default()
        });
        draft.payload = json!({"tokensIn": tokens, "tokensOut": 1});
        draft
    }

    #[tokio::test]
    async fn what_a_person_used_today_counts_after_a_restart_and_what_he_used_before_does_not() {
        let mut world = World::new();
        let process = world.start(Fuse::long()).await;
        let audit = &process.ctx.audit;
        // Whatever a policy leaves out of the log, this is not.
        let levels = BTreeMap::from([("outbound".to_owned(), AuditLevel::Metadata)]);
        audit.honour(&AuditPolicySpec {
            levels,
            ..AuditPolicySpec::default()
        });
        for draft in [
            call("alice", "small", 60),
            call("alice", "small", 39),
            call("bob", "small", 5),
            call("alice", "large", 7),
        ] {
            audit.record(draft).await.unwrap();
        }
        // What was cut midway was used too; what is only intended was not.
        let mut cut = call("bob", "cut", 101);
        cut.outcome = Outcome::Failure;
        audit.record(cut).await.unwrap();
        let mut intent = call("bob", "large", 1000);
        intent.outcome = Outcome::Intent;
        audit.record(intent).await.unwrap();
        let mut probe = call("alice", "small", 1000);
        probe.verb = "probe".to_owned();
        audit.record(probe).await.unwrap();
        let now = Timestamp::now();
        let limits = Limits {
            calls_a_minute: None,
            tokens_a_day: Some(100),
        };
        let second = u64::try_from(now.as_second()).unwrap();
        let mut used = within_a_day(audit, now).await.unwrap();
        let small = used.get_mut("small").unwrap();
        assert_eq!(small.call("alice", limits, second), Err(Over::Tokens(101, 100)));
        assert_eq!(small.call("bob", limits, second), Ok(()));
        assert_eq!(
            used.get_mut("large").unwrap().call("alice", limits, second),
            Ok(())
        );
        let cut = used.get_mut("cut").unwrap().call("bob", limits, second);
        assert_eq!(cut, Err(Over::Tokens(102, 100)));
        assert_eq!(used.get_mut("large").unwrap().call("bob", limits, second), Ok(()));
        let later = now.saturating_add(DAY + SignedDuration::from_secs(5)).unwrap();
        assert!(within_a_day(audit, later).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_call_that_cannot_be_read_takes_no_other_one_out_of_the_budgets() {
        let mut world = World::new();
        let process = world.start(Fuse::long()).await;
        let audit = &process.ctx.audit;
        for tokens in [10, 20, 40] {
            audit.record(call("alice", "small", tokens)).await.unwrap();
        }
        process.store.damage_entry(2);
        let now = Timestamp::now();
        let limits = Limits {
            calls_a_minute: None,
            tokens_a_day: Some(50),
        };
        let second = u64::try_from(now.as_second()).unwrap();
        let mut used = within_a_day(audit, now).await.unwrap();
        let small = used.get_mut("small").unwrap();
        assert_eq!(small.call("alice", limits, second), Err(Over::Tokens(52, 50)));
    }
}
