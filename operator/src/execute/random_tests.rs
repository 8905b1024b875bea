//! Ten thousand seeded kills: plans of any shape, executed by processes that end or hang at any boundary (a request, its
//! answer, a write to the audit log, a named point), against an API server that refuses, loses answers and lets others get
//! in between, with an audit store that goes away, and watches that are late, silent, or lose events until the next list.
//!
//! Zero double effects, zero lost audit entries. The seed of a failure is printed; `KUBECHAT_SEED` runs that case alone,
//! `KUBECHAT_KILLS` sets how many kills there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use kubechat_audit::{EventType, Outcome};
use kubechat_crds::condition::is_finished;
use kubechat_crds::{CommandPlan, PlanPhase, Step, StepState};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, Ran, Suspended, World};
use crate::testing::server::{Asked, Fate};
use crate::testing::store::Luck;
use crate::testing::watches::Loss;

/// Kills of one run, unless the environment says otherwise.
const KILLS: u64 = 10_000;
/// Lives of the operator before the last one, of one plan.
const LIVES: u32 = 60;
/// Threads, each with cases of its own.
const THREADS: u64 = 2;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn ten_thousand_random_kills_leave_no_double_effect_and_no_lost_audit_entry() {
    if let Some(seed) = setting("KUBECHAT_SEED") {
        println!("{:?}", on_a_runtime(seed));
        return;
    }
    let wanted = setting("KUBECHAT_KILLS").unwrap_or(KILLS);
    let base: u64 = rand::random::<u32>().into();
    println!("the cases of this run have the seeds from {base} on");
    let killed = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let killed = Arc::clone(&killed);
            std::thread::spawn(move || {
                let mut ends = BTreeMap::new();
                for at in 0.. {
                    if killed.load(Ordering::SeqCst) >= wanted {
                        break;
                    }
                    let (kills, phase) = on_a_runtime(base + at * THREADS + thread);
                    killed.fetch_add(kills, Ordering::SeqCst);
                    *ends.entry(format!("{phase:?}")).or_insert(0) += 1;
                }
                ends
            })
        })
        .collect();
    let ends: Vec<BTreeMap<String, i32>> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    println!("{} kills; plans ended: {ends:?}", killed.load(Ordering::SeqCst));
    for phase in ["Succeeded", "Interrupted"] {
        assert!(
            ends.iter().any(|e| e.contains_key(phase)),
            "none ended as {phase}: {ends:?}"
        );
    }
}

fn on_a_runtime(seed: u64) -> (u64, PlanPhase) {
    let _told = Told(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(case(seed))
}

/// Says which case it was when a test fails.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the case has the seed {0}: KUBECHAT_SEED={0} runs it again",
                self.0
            );
        }
    }
}

/// One plan from its approval to its end. Returns how often the operator was killed or suspended.
async fn case(seed: u64) -> (u64, PlanPhase) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    let count = random.random_range(1..=3);
    let verbs: Vec<Verb> = (0..count)
        .map(|_| Verb::ALL[random.random_range(0..Verb::ALL.len())])
        .collect();
    let steps = world.propose(&verbs).await;
    let mut seen: Vec<CommandPlan> = vec![world.plan()];
    let mut hanging: Vec<Suspended> = vec![];
    let mut kills = 0;
    for _ in 0..LIVES {
        if finished(&world) {
            break;
        }
        faults(&world, random.random());
        let process = world.start(Fuse::after(random.random_range(1..45))).await;
        luck(&process.store, random.random());
        for _ in 0..6 {
            if finished(&world) {
                break;
            }
            process.watches.suffer(&world.server, || loss(&mut random));
            // A queue may be behind its cache, too.
            let behind = random.random_bool(0.1);
            let cached = process.ctx.stores.plans.state().pop();
            let plan = match (seen.get(random.random_range(0..seen.len())), cached) {
                (Some(old), _) if behind => old.clone(),
                (_, Some(cached)) => (*cached).clone(),
                // A controller that does not know of it does not look at it.
                _ => continue,
            };
            match process.reconcile(plan).await {
                Ran::Ended(_) => seen.push(world.plan()),
                Ran::Stopped(stopped) => {
                    kills += 1;
                    if random.random_bool(0.3) {
                        hanging.push(stopped);
                    }
                    break;
                }
            }
        }
        if random.random_bool(0.3)
            && let Some(stopped) = hanging.pop()
        {
            let _ = stopped.wake().await;
        }
    }
    world.server.fates(|_| Fate::Answered);
    let last = world.start(Fuse::long()).await;
    let plan = last.finish(&world).await;
    for stopped in hanging {
        let _ = stopped.wake().await;
    }
    // Whatever a cache still says of it, a plan that has ended is left alone.
    let (written, status) = (world.server.written(), world.plan().status);
    let idle = world.start(Fuse::long()).await;
    for old in seen.into_iter().rev().take(3) {
        let _ = idle.reconcile(old).await;
    }
    assert_eq!(world.server.written(), written, "an ended plan was gone on with");
    assert_eq!(
        world.plan().status,
        status,
        "the status of an ended plan was changed"
    );
    judge(&mut world, &plan, &steps).await;
    (kills, plan.status.and_then(|s| s.phase).unwrap())
}

fn finished(world: &World) -> bool {
    world.plan().status.is_some_and(|s| is_finished(&s.conditions))
}

/// What the API server does to the requests of one life.
fn faults(world: &World, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let calm = random.random_bool(0.4);
    world.server.fates(move |asked: &Asked| {
        let roll = random.random_range(0..100);
        if calm {
            return Fate::Answered;
        }
        let write = asked.is_write();
        match roll {
            0 => Fate::Lost,
            1 => Fate::Refused(500),
            2 => Fate::Refused(429),
            3 if asked.method != Method::GET => Fate::AnswerLost,
            4 if write => Fate::DoneBut(504),
            5..=7 if write => Fate::Overtaken,
            8 if write => Fate::Refused(409),
            9 if write => Fate::AnswerLost,
            10 if write => Fate::Refused(403),
            _ => Fate::Answered,
        }
    });
}

/// What becomes of a watch between two looks.
fn loss(random: &mut StdRng) -> Loss {
    match random.random_range(0..100) {
        0..15 => Loss::Lost,
        15..25 => Loss::Late(random.random_range(0..4)),
        25..35 => Loss::Gone,
        _ => Loss::None,
    }
}

/// What the audit store does to the writes of one life.
fn luck(store: &crate::testing::store::FaultyStore, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let calm = random.random_bool(0.5);
    store.luck(move |what| match random.random_range(0..12) {
        _ if calm => Luck::Good,
        0 => Luck::Away,
        1 => Luck::Unconfirmed,
        2 if what == "result" => Luck::Away,
        _ => Luck::Good,
    });
}

/// What must hold when all is over.
pub(super) async fn judge(world: &mut World, plan: &CommandPlan, steps: &[Step]) {
    let status = plan.status.clone().unwrap_or_default();
    for (step, at) in steps.iter().zip(&status.steps) {
        let writes = world.writes(step);
        let what = format!(
            "{} {}: {writes:?} {at:?} {:?}",
            step.id, step.action, status.conditions
        );
        assert!(writes.iter().all(|n| *n <= 1), "double effect: {what}");
        let sum = i32::try_from(writes.iter().sum::<usize>()).unwrap();
        match at.state {
            StepState::Done => assert!(writes.iter().all(|n| *n == 1), "not done: {what}"),
            StepState::Failed => assert_eq!(sum, at.done, "{what}"),
            StepState::Unknown => assert!(sum >= at.done, "{what}"),
            StepState::Pending | StepState::Skipped => assert_eq!(sum, 0, "{what}"),
            StepState::Sent => panic!("not an end: {what}"),
        }
    }
    let uid = plan.metadata.uid.as_deref().unwrap_or_default();
    let ids: Vec<String> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| kubechat_core::plan::step_id(uid, index, step))
        .collect();
    let mut seen = BTreeSet::new();
    for write in world.server.written() {
        let audit_id = write.audit_id.clone().unwrap_or_default();
        let of_a_step = ids.iter().any(|id| audit_id.starts_with(&format!("{id}.")));
        assert!(
            of_a_step && seen.insert(audit_id),
            "{write:?} names no step, or twice the same write"
        );
    }
    if status.phase == Some(PlanPhase::Succeeded) {
        assert!(
            status.steps.iter().all(|s| s.state == StepState::Done),
            "{status:?}"
        );
    }
    let entries = world.entries().await;
    let mut log: BTreeMap<String, (usize, Vec<Outcome>)> = BTreeMap::new();
    for entry in entries
        .iter()
        .filter(|e| e.event_type == EventType::CommandExecution)
    {
        let Some(id) = entry.ids.step_id.clone() else {
            continue;
        };
        let known = log.entry(id).or_default();
        match entry.outcome {
            Outcome::Intent => known.0 += 1,
            other => known.1.push(other),
        }
    }
    for ((step, at), id) in steps.iter().zip(&status.steps).zip(&ids) {
        let (intents, results) = log.remove(id).unwrap_or_default();
        let what = format!(
            "{} {at:?}: {intents} {results:?} {:?}",
            step.id,
            World::short(&entries)
        );
        let written = world.writes(step).iter().any(|n| *n > 0);
        assert!(intents <= 1, "{what}");
        assert!(intents == 1 || !written, "written without an intent: {what}");
        assert_eq!(results.len(), intents, "an intent without its one result: {what}");
        let told = match at.state {
            StepState::Done => Some(Outcome::Success),
            StepState::Failed => Some(Outcome::Failure),
            StepState::Unknown => Some(Outcome::Unknown),
            _ => None,
        };
        assert_eq!(results.first().copied(), told, "log and status differ: {what}");
    }
    assert!(log.is_empty(), "entries of no step: {log:?}");
}
