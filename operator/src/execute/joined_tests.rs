//! What the log, the plan's status and the objects say of one execution when they do not agree, and how a person joins them
//! with the API server's own audit log.

use http::Method;
use jiff::Timestamp;
use kubechat_audit::Outcome;
use kubechat_core::plan::draft;
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use kubechat_crds::{CommandPlan, PlanPhase, Step, StepState};
use serde_json::json;

use crate::failpoint::Point;
use crate::testing::plans::{Verb, path_of, plan_path};
use crate::testing::process::{Fuse, Ran, World};
use crate::testing::server::{Asked, Fate};

/// Executes to this point, where the process ends.
async fn ended_at(world: &mut World, point: Point) {
    let process = world.start(Fuse::at(point)).await;
    assert!(matches!(process.reconcile(world.plan()).await, Ran::Stopped(_)));
}

async fn finished(world: &mut World) -> CommandPlan {
    world.start(Fuse::long()).await.finish(world).await
}

/// The cluster forgets that the plan was begun.
fn lose_status(world: &World) {
    world.server.edit(&plan_path(), |plan| {
        plan.as_object_mut().unwrap().remove("status");
    });
}

fn told(plan: &CommandPlan) -> String {
    let conditions = &plan.status.as_ref().unwrap().conditions;
    conditions.iter().map(|c| c.message.as_str()).collect()
}

fn states(plan: &CommandPlan) -> Vec<StepState> {
    let steps = &plan.status.as_ref().unwrap().steps;
    steps.iter().map(|s| s.state).collect()
}

fn phase(plan: &CommandPlan) -> Option<PlanPhase> {
    plan.status.as_ref().unwrap().phase
}

#[tokio::test]
async fn a_plan_whose_status_alone_was_lost_goes_on_behind_what_the_objects_show() {
    for verb in Verb::ALL {
        for point in [Point::AfterSend, Point::BeforeResult, Point::AfterResult] {
            let mut world = World::new();
            let steps = world.propose(&[verb, Verb::Annotate]).await;
            ended_at(&mut world, point).await;
            if point == Point::AfterSend && steps[0].targets.len() > 1 {
                continue;
            }
            lose_status(&world);
            let plan = finished(&mut world).await;
            assert_eq!(
                phase(&plan),
                Some(PlanPhase::Succeeded),
                "{verb:?} {point:?}: {}",
                told(&plan)
            );
            assert_eq!(states(&plan), [StepState::Done; 2], "{verb:?} {point:?}");
            for step in &steps {
                assert!(world.writes(step).iter().all(|n| *n == 1), "{verb:?} {point:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_plan_whose_objects_were_put_back_too_is_not_executed_again_and_says_what_is_known() {
    for verb in [Verb::Scale, Verb::Label, Verb::SetImage, Verb::Cordon] {
        let mut world = World::new();
        let steps = world.propose(&[verb, Verb::Annotate]).await;
        let path = path_of(&steps[0].targets[0]);
        let before = world.server.get(&path).unwrap();
        ended_at(&mut world, Point::AfterResult).await;
        lose_status(&world);
        world.server.edit(&path, |object| *object = before);
        let plan = finished(&mut world).await;
        let said = told(&plan);
        assert_eq!(phase(&plan), Some(PlanPhase::Interrupted), "{verb:?}: {said}");
        assert_eq!(states(&plan), [StepState::Done, StepState::Skipped], "{verb:?}");
        for words in [
            &steps[0].targets[0].name,
            "restored from a backup, or changed by somebody",
            "not executed again",
            "kubechat again plan",
        ] {
            assert!(said.contains(words), "{verb:?}: {words:?} is not in {said:?}");
        }
        assert_eq!(world.writes(&steps[0]), [1], "{verb:?}");
        assert_eq!(world.writes(&steps[1]), [0], "{verb:?}");
    }
}

/// A world whose plan labels an object, annotates the same one (or deletes it), and then annotates another one; executed until
/// the last step begins.
async fn changed_twice(second: Action) -> (World, Vec<Step>) {
    let mut world = World::new();
    let found = world.config_map("twice");
    let of = |action: Action| {
        let mut params = IntentParams::default();
        if action != Action::Delete {
            params.set = [("tier".to_owned(), "web".to_owned())].into();
        }
        let intent = Intent {
            action,
            target: IntentTarget::default(),
            params,
            confidence: 100,
            span: Span::default(),
        };
        draft(&intent, std::slice::from_ref(&found), &[], Timestamp::now()).unwrap()
    };
    let mut drafts = [of(Action::Label), of(second)].concat();
    drafts.extend(world.drafts(Verb::Annotate, 2));
    let steps = world.approved(drafts).await;
    let last = |method: &Method, path: &str| *method == Method::PATCH && path.contains("noted-2");
    let process = world.start(Fuse::before(last)).await;
    assert!(matches!(process.reconcile(world.plan()).await, Ran::Stopped(_)));
    (world, steps)
}

#[tokio::test]
async fn an_object_that_a_plan_changed_twice_shows_both_by_the_later_mark() {
    for second in [Action::Annotate, Action::Delete] {
        let (mut world, steps) = changed_twice(second).await;
        lose_status(&world);
        let plan = finished(&mut world).await;
        let said = told(&plan);
        assert_eq!(phase(&plan), Some(PlanPhase::Succeeded), "{second}: {said}");
        assert_eq!(states(&plan), [StepState::Done; 3], "{second}");
        assert_eq!(world.writes(&steps[0]), [2], "{second}");
        assert_eq!(world.writes(&steps[2]), [1], "{second}");
    }
}

#[tokio::test]
async fn an_object_that_a_plan_changed_twice_and_that_shows_neither_is_named_with_what_is_not_known() {
    let (mut world, steps) = changed_twice(Action::Annotate).await;
    lose_status(&world);
    world.server.edit(&path_of(&steps[0].targets[0]), |object| {
        object["metadata"]["annotations"] = json!({});
    });
    let plan = finished(&mut world).await;
    let said = told(&plan);
    assert_eq!(phase(&plan), Some(PlanPhase::Interrupted), "{said}");
    for words in [
        "configmap/twice",
        "restored from a backup, or changed by somebody",
        "which of the two is not known",
        "not executed again",
        "kubechat again plan",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said:?}");
    }
    assert_eq!(world.writes(&steps[2]), [0]);
}

#[tokio::test]
async fn an_unknown_step_says_what_is_on_record_and_where_a_person_finds_the_rest() {
    let mut world = World::new();
    let steps = world.propose(&[Verb::Label]).await;
    ended_at(&mut world, Point::AfterIntent).await;
    let plan = finished(&mut world).await;
    let said = told(&plan);
    let id = kubechat_core::plan::step_id(plan.metadata.uid.as_deref().unwrap(), 0, &steps[0]);
    let seq = plan.status.as_ref().unwrap().steps[0].audit_seq.unwrap();
    for words in [
        &format!("entry {seq} of the audit log"),
        &steps[0].targets[0].name,
        "not sent again",
        &id,
        "API server's audit log",
        "kubechat rollback plan",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said:?}");
    }
    assert!(!said.contains("backup"), "{said}");
}

#[tokio::test]
async fn a_step_that_the_log_has_no_record_of_says_that_the_log_is_older() {
    let mut world = World::new();
    let steps = world.propose(&[Verb::Label]).await;
    world.server.edit(&plan_path(), |plan| {
        plan["status"] = json!({"phase": "Executing", "steps": [{"id": steps[0].id, "state": "Sent"}]});
    });
    let plan = finished(&mut world).await;
    assert_eq!(states(&plan), [StepState::Unknown]);
    let said = told(&plan);
    for words in [
        "the plan says that the step was sent",
        "the log is older",
        "--audit-store",
        "not sent again",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said:?}");
    }
    assert_eq!(world.writes(&steps[0]), [0]);
}

#[tokio::test]
async fn each_write_has_an_id_in_the_api_servers_log_and_the_result_names_the_one_that_decided() {
    for verb in Verb::ALL {
        for fate in [
            Fate::Answered,
            Fate::Overtaken,
            Fate::Refused(403),
            Fate::AnswerLost,
            Fate::Lost,
        ] {
            let mut world = World::new();
            let steps = world.propose(&[verb]).await;
            let (asked, mut first) = (std::sync::Arc::new(std::sync::Mutex::new(vec![])), true);
            let seen = std::sync::Arc::clone(&asked);
            world.server.fates(move |request: &Asked| {
                if !request.is_write() {
                    assert_eq!(request.audit_id, None, "{request:?} changes nothing");
                    return Fate::Answered;
                }
                seen.lock().unwrap().push(request.audit_id.clone().unwrap());
                if std::mem::take(&mut first) {
                    fate
                } else {
                    Fate::Answered
                }
            });
            let plan = finished(&mut world).await;
            let id = kubechat_core::plan::step_id(plan.metadata.uid.as_deref().unwrap(), 0, &steps[0]);
            let mut sent = asked.lock().unwrap().clone();
            let entries = world.entries().await;
            let result = entries.iter().rfind(|e| e.ids.step_id.is_some()).unwrap();
            assert_ne!(result.outcome, Outcome::Intent, "{verb:?} {fate:?}");
            assert_eq!(result.api_audit_id, sent.last().cloned(), "{verb:?} {fate:?}");
            assert!(
                sent.iter().all(|one| one.starts_with(&format!("{id}."))),
                "{verb:?} {fate:?}: {sent:?}"
            );
            let all = sent.len();
            sent.dedup();
            assert_eq!(sent.len(), all, "{verb:?} {fate:?}: {sent:?}");
        }
    }
}
