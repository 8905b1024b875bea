use std::collections::BTreeMap;

use kubechat_audit::{Actor, Draft, Outcome};
use kubechat_core::reason;
use kubechat_crds::AuditPolicySpec;
use kubechat_crds::audit_policy::AuditLevel;
use serde_json::json;

use super::*;
use crate::testing::process::{Fuse, Process, World};

fn entry(plan: &str, step: Option<&str>, outcome: Outcome) -> Draft {
    let (alice, why) = (Actor::named("alice"), reason::EXECUTED);
    let mut draft = Draft::new(EventType::CommandExecution, alice, "label", outcome, why);
    draft.ids.plan = Some(format!("name-{plan}"));
    draft.ids.plan_uid = Some(plan.into());
    draft.ids.step_id = step.map(|step| format!("{plan}-{step}"));
    draft
}

/// Begins a step of a plan of so many.
async fn begins(process: &Process, plan: &str, step: &str, total: Option<u64>) {
    let mut draft = entry(plan, Some(step), Outcome::Intent);
    draft.payload = total.map_or(
        Value::Null,
        |total| json!({"stepsTotal": total, "planNamespace": "demo", "step": step, "command": "secret"}),
    );
    let id = format!("{plan}-{step}");
    process.ctx.audit.intent(draft, &id).await.unwrap();
}

async fn ends(process: &Process, plan: &str, step: &str, outcome: Outcome) {
    let draft = entry(plan, Some(step), outcome);
    process.ctx.audit.result(draft).await.unwrap();
}

async fn done(process: &Process, plan: &str, step: &str, total: Option<u64>) {
    begins(process, plan, step, total).await;
    ends(process, plan, step, Outcome::Success).await;
}

fn open(known: &Executions) -> Vec<String> {
    known.open().into_iter().map(|(uid, _)| uid).collect()
}

async fn all(process: &Process) -> Executions {
    let mut known = Executions::default();
    known.learn(&process.ctx.audit).await.unwrap();
    known
}

#[tokio::test]
async fn the_log_tells_which_executions_have_no_end_whatever_a_policy_leaves_out() {
    for level in [AuditLevel::Full, AuditLevel::Metadata, AuditLevel::Off] {
        let mut world = World::new();
        let process = world.start(Fuse::long()).await;
        let levels = BTreeMap::from([("command_execution".to_owned(), level)]);
        process.ctx.audit.honour(&AuditPolicySpec {
            levels,
            ..AuditPolicySpec::default()
        });
        done(&process, "ended", "s1", Some(1)).await;
        done(&process, "between", "s1", Some(2)).await;
        done(&process, "earlier", "s1", None).await;
        begins(&process, "begun", "s1", Some(1)).await;
        begins(&process, "earlier-begun", "s1", None).await;
        begins(&process, "failed", "s1", Some(2)).await;
        ends(&process, "failed", "s1", Outcome::Failure).await;
        done(&process, "stopped", "s1", Some(2)).await;
        let end = entry("stopped", None, Outcome::Denied);
        process.ctx.audit.record(end).await.unwrap();
        let mut known = all(&process).await;
        assert_eq!(open(&known), ["begun", "between", "earlier-begun"], "{level:?}");
        assert_eq!(known.unread(), 0);
        assert_eq!(known.open()[0].1, "name-begun");
        let between = process.ctx.audit.execution("between").await.unwrap();
        assert_eq!(between.namespace(), Some("demo"), "{level:?}");
        assert!(
            between.account(|_| None).contains("Done before: s1."),
            "{level:?}"
        );
        let payload = process.ctx.audit.payload(1).await.unwrap();
        assert_eq!(payload.get("command").is_some(), level == AuditLevel::Full);

        // What came since.
        ends(&process, "begun", "s1", Outcome::Success).await;
        done(&process, "between", "s2", Some(2)).await;
        begins(&process, "new", "s1", Some(1)).await;
        known.learn(&process.ctx.audit).await.unwrap();
        assert_eq!(open(&known), ["earlier-begun", "new"], "{level:?}");
        known.close("new");
        known.learn(&process.ctx.audit).await.unwrap();
        assert_eq!(open(&known), ["earlier-begun"]);
    }
}

#[tokio::test]
async fn an_execution_that_is_told_of_on_several_pages_is_put_together() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    begins(&process, "long", "s1", Some(2)).await;
    begins(&process, "open", "s1", Some(2)).await;
    for n in 0..600 {
        done(&process, &format!("p{n}"), "s1", Some(1)).await;
    }
    ends(&process, "long", "s1", Outcome::Success).await;
    done(&process, "long", "s2", Some(2)).await;
    assert_eq!(open(&all(&process).await), ["open"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_silences_no_other_execution() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    for plan in ["a", "b", "c"] {
        begins(&process, plan, "s1", Some(1)).await;
    }
    done(&process, "d", "s1", Some(2)).await;
    done(&process, "e", "s1", Some(2)).await;
    process.store.damage_entry(2);
    // How many steps there are stands beside the intent.
    process.store.damage_payload(4);
    let mut known = all(&process).await;
    assert_eq!(
        (open(&known), known.unread()),
        (vec!["a".into(), "c".into(), "e".into()], 2)
    );
    assert_eq!(known.unread(), 0);
}
