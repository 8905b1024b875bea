//! Which object a step made is on record: its mark is written over by the next change, also by KubeChat's own.

use std::sync::{Arc, Mutex};

use http::Method;
use kubechat_audit::Outcome;
use kubechat_crds::command_plan::Effect;
use kubechat_crds::{CommandPlan, Step, StepState};
use serde_json::json;

use crate::failpoint::Point;
use crate::testing::plans::{Verb, path_of};
use crate::testing::process::{Fuse, Ran, World};
use crate::testing::server::{Asked, Fate};

/// UIDs of the first target: as the object has it, as the status says that it was made, and as the result of the step names it.
async fn uids(world: &mut World, plan: &CommandPlan, step: &Step) -> [Option<String>; 3] {
    let object = world.object(&step.targets[0]);
    let there = object.map(|o| o["metadata"]["uid"].as_str().unwrap().to_owned());
    let status = &plan.status.as_ref().unwrap().steps[0];
    assert_eq!(status.state, StepState::Done, "{:?}", plan.status);
    let entries = world.entries().await;
    let result = entries.iter().rfind(|e| e.ids.step_id.is_some()).unwrap();
    assert_eq!(result.outcome, Outcome::Success);
    let told = result.target.as_ref().and_then(|t| t.uid.clone());
    [there, status.made.clone(), told]
}

#[tokio::test]
async fn what_a_step_made_is_known_by_its_uid_also_where_the_answer_was_lost() {
    let mut creates = 0;
    for verb in Verb::ALL {
        for fate in [Fate::Answered, Fate::AnswerLost, Fate::DoneBut(504)] {
            let mut world = World::new();
            let step = world.propose(&[verb]).await.remove(0);
            let mut first = true;
            world.server.fates(move |asked: &Asked| {
                if asked.is_write() && std::mem::take(&mut first) {
                    fate
                } else {
                    Fate::Answered
                }
            });
            let plan = world.start(Fuse::long()).await.finish(&world).await;
            let [there, made, told] = uids(&mut world, &plan, &step).await;
            if step.effect == Effect::Create {
                creates += 1;
                assert!(there.is_some(), "{verb:?}");
                assert_eq!([&made, &told], [&there; 2], "{verb:?} {fate:?}");
            } else {
                assert_eq!(
                    (made, told),
                    (None, step.targets[0].uid.clone()),
                    "{verb:?} {fate:?}"
                );
            }
        }
    }
    assert!(creates > 30, "{creates}");
}

#[tokio::test]
async fn every_write_of_a_plan_and_its_dry_run_name_kubechat_as_the_field_manager() {
    for verb in Verb::ALL {
        let mut world = World::new();
        world.propose(&[verb]).await;
        let seen = Arc::new(Mutex::new(vec![]));
        let writes = Arc::clone(&seen);
        world.server.fates(move |asked: &Asked| {
            // A deletion leaves no fields to manage.
            let changes = [Method::POST, Method::PATCH, Method::PUT].contains(&asked.method);
            if asked.is_write() || (asked.dry_run && asked.user.is_some()) {
                let named = changes.then(|| asked.manager.clone());
                writes.lock().unwrap().push((asked.dry_run, named));
            }
            Fate::Answered
        });
        world.start(Fuse::long()).await.finish(&world).await;
        let seen = seen.lock().unwrap().clone();
        assert!(seen.iter().any(|(dry, _)| !dry), "{verb:?}: nothing was written");
        for (dry, named) in seen {
            if let Some(named) = named {
                assert_eq!(named.as_deref(), Some("kubechat"), "{verb:?}, dry run: {dry}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_step_made_is_known_after_a_crash_by_the_log_or_by_its_mark() {
    for (point, marked) in [
        (Point::AfterSend, true),
        (Point::BeforeResult, true),
        (Point::AfterResult, false),
    ] {
        let mut world = World::new();
        let step = world.propose(&[Verb::CreateNamespace]).await.remove(0);
        let process = world.start(Fuse::at(point)).await;
        assert!(matches!(process.reconcile(world.plan()).await, Ran::Stopped(_)));
        drop(process);
        if !marked {
            world.server.edit(&path_of(&step.targets[0]), |object| {
                object["metadata"]["annotations"] = json!({});
            });
        }
        let plan = world.start(Fuse::long()).await.finish(&world).await;
        let [there, made, told] = uids(&mut world, &plan, &step).await;
        assert!(there.is_some(), "{point:?}");
        assert_eq!([&made, &told], [&there; 2], "{point:?}");
    }
}
