//! Time runs out between two steps: the second one is not sent, and plan and log say what was done and how it is undone.

use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use kubechat_audit::{EventType, Outcome};
use kubechat_crds::{CommandPlan, PlanPhase, Step, StepState};

use crate::failpoint::Point;
use crate::testing::people::{person, stamped};
use crate::testing::plans::{Verb, turn_path};
use crate::testing::process::{Fuse, Ran, World};

/// Gives something of an approved plan an end.
type Limit = fn(&World, &str);

fn of_the_plan(world: &World, end: &str) {
    world.rewrite(true, |plan| plan.expires_at = end.into());
}

/// `notAfter`, as the turn was sealed with it.
fn of_the_turn(world: &World, end: &str) {
    let path = turn_path();
    let mut turn = world.server.get(&path).unwrap();
    turn["spec"]["notAfter"] = end.into();
    let collection = path.rsplit_once('/').unwrap().0;
    let turn = stamped(&world.seal, collection, turn, &person("alice", &["developers"]));
    world.server.edit(&path, |o| o["spec"] = turn["spec"].clone());
    let requester = serde_json::from_value(turn["spec"]["requester"].clone()).unwrap();
    world.rewrite(true, |plan| plan.requester = requester);
}

/// Approved, but only until then.
fn of_the_approvals(world: &World, end: &str) {
    let collection = turn_path().replace("chatrequests/turn", "approvals");
    for who in ["bob", "carol"] {
        let path = format!("{collection}/{who}");
        let mut approval = world.server.get(&path).unwrap();
        approval["spec"]["expiresAt"] = end.into();
        let approval = stamped(&world.seal, &collection, approval, &person(who, &["approvers"]));
        world.server.edit(&path, |o| o["spec"] = approval["spec"].clone());
    }
}

/// Executes the first of two steps, waits for the end, and goes on: in the same process, or in the next one.
async fn halfway(restarted: bool, limit: Limit) -> (World, Vec<Step>, CommandPlan) {
    // Where the first step takes longer than that, it gets more time.
    for seconds in [2, 8, 32] {
        let mut world = World::new();
        let steps = world.propose(&[Verb::Label, Verb::Scale]).await;
        let end = Timestamp::now()
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap();
        let end = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        limit(&world, &end);
        let process = world.start(Fuse::at(Point::AfterResult)).await;
        let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
            continue;
        };
        let end: Timestamp = end.parse().unwrap();
        while Timestamp::now() < end {
            let left = end.duration_since(Timestamp::now()).unsigned_abs();
            tokio::time::sleep(left.max(Duration::from_millis(1))).await;
        }
        if restarted {
            drop((stopped, process));
            let next = world.start(Fuse::long()).await;
            next.look(&world).await.unwrap();
        } else {
            stopped.resume().await.unwrap();
        }
        let plan = world.plan();
        return (world, steps, plan);
    }
    panic!("the first step is not done in time");
}

/// Checks one case: why it stopped, by its reason and its words.
async fn stops(what: &str, limit: Limit, restarted: bool, reason: &str, because: &[&str]) {
    let (mut world, steps, plan) = halfway(restarted, limit).await;
    let status = plan.status.clone().unwrap();
    let ended = kubechat_crds::condition::find(&status.conditions, "Succeeded").unwrap();
    let told = format!("{what}, restarted {restarted}: {}", ended.message);
    assert_eq!(status.phase, Some(PlanPhase::Interrupted), "{told}");
    assert_eq!(
        (ended.status.as_str(), ended.reason.as_str()),
        ("False", reason),
        "{told}"
    );
    let states: Vec<StepState> = status.steps.iter().map(|s| s.state).collect();
    assert_eq!(states, [StepState::Done, StepState::Skipped], "{told}");
    assert!(status.rollback_available, "{told}");
    let account = [
        "stopped midway",
        "Done: s1",
        "1 later step(s)",
        "kubechat rollback plan",
    ];
    for words in because.iter().chain(&account) {
        assert!(ended.message.contains(words), "{words:?} is not in {told}");
    }
    let writes = [world.writes(&steps[0]), world.writes(&steps[1])];
    assert_eq!(writes, [[1], [0]], "{told}");
    let entries = world.entries().await;
    let executed = || {
        let all = entries.iter();
        all.filter(|e| e.event_type == EventType::CommandExecution)
    };
    let outcomes: Vec<Outcome> = executed().map(|e| e.outcome).collect();
    let complete = [Outcome::Intent, Outcome::Success, Outcome::Denied];
    assert_eq!(outcomes, complete, "{told}: {:?}", World::short(&entries));
    let end = executed().next_back().unwrap();
    assert_eq!(
        (end.reason.as_str(), end.message.as_str()),
        (reason, ended.message.as_str())
    );
}

#[tokio::test]
async fn what_runs_out_between_two_steps_stops_the_plan_there_and_plan_and_log_say_what_was_done() {
    let plan: &[&str] = &["the plan expired at", "kubechat again plan"];
    let turn: &[&str] = &["was not to be executed after", "kubechat again plan"];
    let approvals: &[&str] = &["do not suffice any more", "has expired"];
    let cases = [false, true].map(|restarted| async move {
        stops("plan", of_the_plan, restarted, "Expired", plan).await;
        stops("turn", of_the_turn, restarted, "Expired", turn).await;
        stops(
            "approvals",
            of_the_approvals,
            restarted,
            "AwaitingApproval",
            approvals,
        )
        .await;
    });
    join_all(cases).await;
}
