use kube::ResourceExt;
use kubechat_audit::{EventType, Outcome};
use kubechat_core::reason;
use kubechat_crds::condition::{set, types};
use kubechat_crds::{ChatRequest, PlanPhase};
use serde_json::json;
use std::time::Duration;

use super::super::chat_request;
use super::emergency::{Trusted, meanwhile};
use super::*;
use crate::audit::about_plan;
use crate::failpoint::Point;
use crate::metrics::GlassLabels;
use crate::past::Emergencies;
use crate::testing::plans::{Verb, plan_path, turn_path};
use crate::testing::process::{Fuse, Process, Ran, Suspended, World};
use crate::testing::server::Fate;

const PLANS: &str = "/apis/kubechat.io/v1beta1/namespaces/demo/commandplans";

/// What a new leader tells of what was before.
async fn looks(process: &Process) -> Emergencies {
    let mut known = Emergencies::default();
    let looked = meanwhile(&process.ctx, &process.ctx.past, &mut known, Trusted::Cache)
        .await
        .unwrap();
    assert!(!looked.waits);
    known
}

/// A finished turn whose life is over, and its plan, which was executed by break-glass.
pub(super) async fn executed_in_an_emergency() -> (World, Process, String) {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let process = world.start(Fuse::long()).await;
    let mut plan = process.finish(&world).await;
    assert_eq!(plan.status.as_ref().unwrap().phase, Some(PlanPhase::Succeeded));
    let status = plan.status.as_mut().unwrap();
    status.approvals.as_mut().unwrap().decisions[0].via = kubechat_crds::Via::BreakGlass;
    let turn = turn(&world);
    let path = format!("{PLANS}/{}", chat_request::plan_name(&turn));
    let mut stored = serde_json::to_value(&plan).unwrap();
    stored["metadata"]["name"] = chat_request::plan_name(&turn).into();
    world.server.put(&path, stored);
    world.server.edit(&turn_path(), |o| {
        o["spec"]["ttlSecondsAfterFinished"] = 0.into();
        o["status"] = json!({"completionTime": "2026-05-01T10:00:00Z", "conditions": [{"type": "Succeeded",
            "status": "True", "reason": "Executed", "message": "", "lastTransitionTime": "2026-05-01T10:00:00Z"}]});
    });
    (world, process, path)
}

/// Tells of a plan that was removed.
async fn gone(plan: &CommandPlan, ctx: &Context) {
    if let Some(unreviewed) = Unreviewed::of(plan) {
        unreviewed.tell(ctx).await.unwrap();
    }
}

fn turn(world: &World) -> ChatRequest {
    serde_json::from_value(world.server.get(&turn_path()).unwrap()).unwrap()
}

fn reviewed(world: &World, path: &str, status: &str) {
    world.server.edit(path, |o| {
        let mut plan: CommandPlan = serde_json::from_value(o.clone()).unwrap();
        let conditions = &mut plan.status.as_mut().unwrap().conditions;
        set(
            conditions,
            types::REVIEWED,
            status,
            "R",
            "",
            None,
            Timestamp::now(),
        );
        *o = serde_json::to_value(plan).unwrap();
    });
}

#[tokio::test]
async fn a_turn_whose_emergency_waits_for_its_review_outlives_its_time_until_the_review_came() {
    let (world, process, path) = executed_in_an_emergency().await;
    let look = || chat_request::reconcile(Arc::new(turn(&world)), Arc::clone(&process.ctx));
    for said in [None, Some("Unknown"), Some("False")] {
        if let Some(status) = said {
            reviewed(&world, &path, status);
        }
        look().await.unwrap();
        assert!(world.server.get(&turn_path()).is_some(), "{said:?}");
    }
    reviewed(&world, &path, "True");
    look().await.unwrap();
    assert!(world.server.get(&turn_path()).is_none());
}

#[tokio::test]
async fn nobody_knows_of_a_review_while_the_plan_cannot_be_read_so_the_turn_stays() {
    let (world, process, path) = executed_in_an_emergency().await;
    let refused = path.clone();
    world.server.fates(move |asked| {
        let plan = asked.path == refused;
        if plan { Fate::Refused(500) } else { Fate::Answered }
    });
    let looked = chat_request::reconcile(Arc::new(turn(&world)), Arc::clone(&process.ctx)).await;
    assert!(looked.is_err() && world.server.get(&turn_path()).is_some());
    // Another turn's plan under this name, or none: nothing is waited for.
    world.server.fates(|_| Fate::Answered);
    world
        .server
        .edit(&path, |o| o["spec"]["chatRequestRef"]["uid"] = "another".into());
    chat_request::reconcile(Arc::new(turn(&world)), Arc::clone(&process.ctx))
        .await
        .unwrap();
    assert!(world.server.get(&turn_path()).is_none());
}

#[tokio::test]
async fn an_emergency_that_is_removed_before_its_review_is_on_record() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let stored = || -> CommandPlan { serde_json::from_value(world.server.get(&path).unwrap()).unwrap() };
    let mut plain = stored();
    plain.status.as_mut().unwrap().approvals = None;
    gone(&plain, &process.ctx).await;
    gone(&stored(), &process.ctx).await;
    reviewed(&world, &path, "True");
    gone(&stored(), &process.ctx).await;
    drop(process);
    let entries = world.entries().await;
    let told: Vec<_> = entries.iter().filter(|e| e.reason == "ReviewOverdue").collect();
    assert_eq!(told.len(), 1, "{:?}", World::short(&entries));
    assert!(told[0].message.contains("removed before its review"));
}

/// The entry of the emergency approval of this plan, as the controller of decisions writes it.
async fn approved_by_break_glass(process: &Process, plan: &CommandPlan) {
    let mut draft = about_plan(
        plan,
        EventType::Approval,
        "approve",
        Outcome::Success,
        reason::BREAK_GLASS,
    );
    draft.target = Some(kubechat_audit::Target {
        namespace: plan.namespace(),
        ..kubechat_audit::Target::default()
    });
    process.ctx.audit.record(draft).await.unwrap();
}

#[tokio::test]
async fn an_emergency_that_is_removed_while_nobody_leads_is_told_once_by_the_next_leader() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let stored: CommandPlan = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
    world.server.remove(&plan_path());
    approved_by_break_glass(&process, &stored).await;
    // It is there: in the cache, or where that leaves it out because it cannot be read.
    let uid = stored.uid().unwrap();
    assert!(!looks(&process).await.was_told(&uid));
    drop(process);
    world.server.edit(&path, |o| o["spec"]["steps"] = json!(7));
    let blind = world.server.remove(&path).unwrap();
    let process = world.start(Fuse::long()).await;
    assert!(process.ctx.stores.plans.state().is_empty());
    world.server.put(&path, blind);
    assert!(!looks(&process).await.was_told(&uid));
    // Another one of its name is not it.
    let another = |o: &mut serde_json::Value| o["metadata"]["uid"] = "another".into();
    world.server.edit(&path, another);
    assert!(looks(&process).await.was_told(&uid));
    assert!(!looks(&process).await.was_told(&uid));
    drop(process);
    let entries = world.entries().await;
    let told: Vec<_> = entries.iter().filter(|e| e.reason == "ReviewOverdue").collect();
    assert_eq!(told.len(), 1, "{:?}", World::short(&entries));
    assert!(told[0].message.contains("removed before its review"));
    assert_eq!(
        (told[0].actor.username.as_str(), told[0].ids.plan_uid.clone()),
        ("alice", stored.uid())
    );
}

#[tokio::test]
async fn an_emergency_that_was_never_begun_or_was_told_already_is_not_told_by_the_next_leader() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let mut stored: CommandPlan = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
    world.server.remove(&path);
    world.server.remove(&plan_path());
    approved_by_break_glass(&process, &stored).await;
    gone(&stored, &process.ctx).await;
    stored.metadata.uid = Some("never-begun".into());
    approved_by_break_glass(&process, &stored).await;
    drop(process);
    let process = world.start(Fuse::long()).await;
    let known = looks(&process).await;
    assert!(!known.was_told("never-begun") && known.open().is_empty());
}

#[tokio::test]
async fn a_review_that_is_on_record_and_not_yet_in_the_status_is_no_missing_one() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let mut stored: CommandPlan = serde_json::from_value(world.server.remove(&path).unwrap()).unwrap();
    world.server.remove(&plan_path());
    let mut removed = vec![];
    for (name, outcome) in [("reviewed", Outcome::Success), ("refused", Outcome::Denied)] {
        stored.metadata.uid = Some(name.into());
        on_record(&process, &stored).await;
        let review = about_plan(&stored, EventType::Approval, "review", outcome, reason::ACCEPTED);
        process.ctx.audit.record(review).await.unwrap();
        removed.push(stored.clone());
    }
    let (leaving, waiting) = begin(&process.ctx.audit).await.unwrap();
    removed.iter().for_each(|plan| leaving.plan(plan));
    drop(leaving);
    waiting.tell(Arc::clone(&process.ctx)).await;
    drop(process);
    assert_eq!(recorded(&mut world).await, ["refused"]);
}

#[tokio::test]
async fn one_damaged_entry_of_a_decision_silences_no_other_emergency() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let mut stored: CommandPlan = serde_json::from_value(world.server.remove(&path).unwrap()).unwrap();
    world.server.remove(&plan_path());
    for name in ["first", "second", "third"] {
        stored.metadata.uid = Some(name.into());
        on_record(&process, &stored).await;
    }
    let entries = process.ctx.audit.page(None).await.unwrap().entries;
    let second = |e: &&kubechat_audit::Entry| {
        e.event_type == EventType::Approval && e.ids.plan_uid.as_deref() == Some("second")
    };
    process
        .store
        .damage_entry(entries.iter().find(second).unwrap().seq);
    let (leaving, waiting) = begin(&process.ctx.audit).await.unwrap();
    drop(leaving);
    waiting.tell(Arc::clone(&process.ctx)).await;
    // Among the entries of the hour, and among the decisions.
    assert_eq!(process.ctx.metrics.audit_unreadable.get(), 2);
    drop(process);
    assert_eq!(recorded(&mut world).await, ["first", "third"]);
}

#[tokio::test]
async fn an_emergency_whose_execution_cannot_be_read_counts_as_begun_and_it_is_said_why() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let mut stored: CommandPlan = serde_json::from_value(world.server.remove(&path).unwrap()).unwrap();
    world.server.remove(&plan_path());
    for name in ["first", "second"] {
        stored.metadata.uid = Some(name.into());
        on_record(&process, &stored).await;
    }
    let entries = process.ctx.audit.page(None).await.unwrap().entries;
    let first = |e: &&kubechat_audit::Entry| {
        e.outcome == Outcome::Intent && e.ids.plan_uid.as_deref() == Some("first")
    };
    process
        .store
        .damage_entry(entries.iter().find(first).unwrap().seq);
    looks(&process).await;
    drop(process);
    assert_eq!(recorded(&mut world).await, ["first", "second"]);
    let entries = world.entries().await;
    let told: Vec<_> = entries.iter().filter(|e| e.reason == "ReviewOverdue").collect();
    assert!(told[0].message.contains("cannot be read") && told[0].message.contains("audit verify"));
    assert!(told[1].message.contains("was executed by break-glass"));
    assert_eq!(told[0].ids.plan, told[1].ids.plan);
}

#[tokio::test]
async fn a_damaged_log_keeps_nobody_from_leading_and_is_heard_of() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let stored: CommandPlan = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
    approved_by_break_glass(&process, &stored).await;
    let entries = process.ctx.audit.page(None).await.unwrap().entries;
    let intent = entries.iter().find(|e| e.outcome == Outcome::Intent).unwrap();
    process.store.damage_payload(intent.seq);
    process.store.damage_entry(entries.last().unwrap().seq);
    let (leaving, waiting) = begin(&process.ctx.audit).await.unwrap();
    assert_eq!(waiting.unread, 2);
    // Whom it holds up no more than this: what leaves afterwards is told.
    leaving.plan(&stored);
    drop(leaving);
    waiting.tell(Arc::clone(&process.ctx)).await;
    // The entries of the hour, and once more that of the decision and what stands beside the intent.
    assert_eq!(process.ctx.metrics.audit_unreadable.get(), 4);
    drop(process);
    let entries = world.entries().await;
    let told = entries.iter().filter(|e| e.reason == "ReviewOverdue").count();
    assert_eq!(told, 1, "{:?}", World::short(&entries));
}

/// The log of an emergency: the approval, and that a step was begun.
pub(super) async fn on_record(process: &Process, plan: &CommandPlan) {
    approved_by_break_glass(process, plan).await;
    let intent = about_plan(
        plan,
        EventType::CommandExecution,
        "label",
        Outcome::Intent,
        reason::EXECUTING,
    );
    let step = format!("step of {}", plan.uid().unwrap());
    process.ctx.audit.intent(intent, &step).await.unwrap();
}

/// Waits until so many emergencies were told.
pub(super) async fn told(process: &Process, many: u64) {
    let what = reason::REVIEW_OVERDUE;
    let counted = || {
        let counter = process
            .ctx
            .metrics
            .break_glass
            .get_or_create(&GlassLabels { what });
        counter.get()
    };
    let all = async {
        while counted() < many {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
}

/// UIDs of the plans whose removal stands in the log, each as often as it does.
pub(super) async fn recorded(world: &mut World) -> Vec<String> {
    let entries = world.entries().await;
    let told = entries.iter().filter(|e| e.reason == "ReviewOverdue");
    let mut uids: Vec<String> = told.filter_map(|e| e.ids.plan_uid.clone()).collect();
    uids.sort();
    uids
}

#[tokio::test]
async fn of_removed_plans_only_emergencies_wait_and_none_is_lost_where_there_is_no_room() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let stored: CommandPlan = serde_json::from_value(world.server.remove(&path).unwrap()).unwrap();
    let named = |name: String| {
        let mut one = stored.clone();
        one.metadata.uid = Some(name);
        one
    };
    let (leaving, waiting) = begin(&process.ctx.audit).await.unwrap();
    for n in 0..=MAX_WAITING {
        let mut plain = named(format!("plain-{n}"));
        plain.status.as_mut().unwrap().approvals = None;
        leaving.plan(&plain);
    }
    assert_eq!(waiting.queue.len(), 0);
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    leaving.plan(&named("first".into()));
    told(&process, 1).await;
    let emergencies: Vec<CommandPlan> = (0..MAX_WAITING + 3)
        .map(|n| named(format!("glass-{n:04}")))
        .collect();
    for plan in &emergencies {
        on_record(&process, plan).await;
    }
    // Nothing is taken from the queue in between.
    emergencies.iter().for_each(|plan| leaving.plan(plan));
    assert_eq!(leaving.queue.capacity(), 0);
    drop(leaving);
    telling.await.unwrap();
    drop(process);
    let mut expected: Vec<String> = emergencies.iter().filter_map(ResourceExt::uid).collect();
    expected.insert(0, "first".into());
    assert_eq!(recorded(&mut world).await, expected);
}

#[tokio::test]
async fn an_emergency_whose_status_never_got_to_say_what_was_begun_is_found_in_the_log_and_told_once() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let mut stored: CommandPlan = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
    world.server.remove(&plan_path());
    let (leaving, waiting) = begin(&process.ctx.audit).await.unwrap();
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    stored.metadata.uid = Some("first".into());
    leaving.plan(&stored);
    told(&process, 1).await;
    // The cache still has it when the watch tells that it is gone.
    let uid = process.ctx.stores.plans.state()[0].uid().unwrap();
    stored.metadata.uid = Some(uid.clone());
    stored.status = None;
    on_record(&process, &stored).await;
    world.server.remove(&path);
    leaving.past.begun(&stored, Timestamp::now());
    leaving.plan(&stored);
    told(&process, 2).await;
    drop(leaving);
    telling.await.unwrap();
    drop(process);
    let mut expected = vec!["first".to_owned(), uid];
    expected.sort();
    assert_eq!(recorded(&mut world).await, expected);
}

#[tokio::test]
async fn an_emergency_whose_plan_could_not_be_read_is_found_in_the_log_when_it_is_removed() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let stored: CommandPlan = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
    world.server.remove(&plan_path());
    approved_by_break_glass(&process, &stored).await;
    let (leaving, waiting) = begin(&process.ctx.audit).await.unwrap();
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    let mut first = stored.clone();
    first.metadata.uid = Some("first".into());
    leaving.plan(&first);
    told(&process, 1).await;
    world.server.remove(&path);
    leaving.unread();
    told(&process, 2).await;
    drop(leaving);
    telling.await.unwrap();
    drop(process);
    let mut expected = vec!["first".to_owned(), stored.uid().unwrap()];
    expected.sort();
    assert_eq!(recorded(&mut world).await, expected);
}

/// A plan that is approved by break-glass, and a process that hangs after the intent of its first step.
async fn begun_in_an_emergency() -> (World, Process, Suspended, CommandPlan) {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let seen = world.plan();
    let process = world.start(Fuse::at(Point::AfterIntent)).await;
    approved_by_break_glass(&process, &seen).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    (world, process, stopped, seen)
}

#[tokio::test]
async fn a_plan_that_is_removed_before_anything_was_sent_is_never_told_as_an_emergency_that_nobody_reviewed()
{
    let (mut world, process, stopped, seen) = begun_in_an_emergency().await;
    let (past, mut known) = (Arc::clone(&process.ctx.past), Emergencies::default());
    let look = async |known: &mut Emergencies| {
        meanwhile(&process.ctx, &past, known, Trusted::Nothing)
            .await
            .unwrap()
            .waits
    };
    assert!(
        past.note(&seen, Timestamp::now()),
        "it is begun as far as is known"
    );
    world.server.remove(&plan_path());
    // The intent is on record, and its end is not: it is waited for.
    assert!(look(&mut known).await);
    assert_eq!(known.open().len(), 1);
    stopped.resume().await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), past.one_ended())
        .await
        .unwrap();
    assert!(!look(&mut known).await);
    assert!(known.open().is_empty());
    drop(process);
    assert!(recorded(&mut world).await.is_empty());
}

#[tokio::test]
async fn a_plan_that_is_removed_after_something_was_sent_is_told_when_that_is_known() {
    let (mut world, process, stopped, seen) = begun_in_an_emergency().await;
    let (leaving, waiting) = waiting_over(&process);
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    // The report on its way cannot say that the plan is gone.
    world.server.fates(|asked| {
        let report = asked.method == http::Method::PATCH && asked.path.ends_with("/status");
        if report {
            Fate::Refused(500)
        } else {
            Fate::Answered
        }
    });
    world.server.remove(&plan_path());
    leaving.plan(&seen);
    let _ = stopped.resume().await;
    told(&process, 1).await;
    drop(leaving);
    telling.await.unwrap();
    drop(process);
    assert_eq!(recorded(&mut world).await, [seen.uid().unwrap()]);
}

/// The two ends over what this process has in mind.
pub(super) fn waiting_over(process: &Process) -> (Leaving, Waiting) {
    let (queue, waiting) = mpsc::channel(MAX_WAITING);
    let (past, missed) = (Arc::clone(&process.ctx.past), Arc::<AtomicBool>::default());
    let waiting = Waiting {
        queue: waiting,
        missed: Arc::clone(&missed),
        past: Arc::clone(&past),
        unread: 0,
    };
    (Leaving { queue, missed, past }, waiting)
}
