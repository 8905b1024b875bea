//! What is not executed although it was approved: a plan that is not what it says it is, one that a policy stops midway,
//! one whose bytes are gone, and any while admission does not stamp.

use kubechat_core::plan::Sidecar;
use kubechat_core::plan::actions::recreate;
use kubechat_crds::command_plan::{CommandPlanSpec, Target, Undo};
use kubechat_crds::condition::{find, is_finished, types};
use kubechat_crds::{CommandPlan, Level, PlanPhase, Step, StepState};
use serde_json::{Value, json};

use crate::failpoint::Point;
use crate::testing::plans::{Verb, path_of, plan_path};
use crate::testing::process::{Fuse, Ran, World};
use crate::testing::server::{Asked, Fate};
use crate::testing::store::Luck;

const BASELINE: &str = "/apis/kubechat.io/v1beta1/riskpolicies/baseline";

async fn executed(world: &mut World) -> CommandPlan {
    let process = world.start(Fuse::long()).await;
    process.finish(world).await
}

/// Phase, reason and message of the end.
fn ended(plan: &CommandPlan) -> (PlanPhase, String, String) {
    let status = plan.status.as_ref().unwrap();
    let verdict = find(&status.conditions, types::SUCCEEDED).unwrap();
    (
        status.phase.unwrap(),
        verdict.reason.clone(),
        verdict.message.clone(),
    )
}

#[tokio::test]
async fn an_apply_that_would_change_a_field_besides_those_of_the_plan_is_stale() {
    for more in [false, true] {
        let mut world = World::new();
        world.propose(&[Verb::ApplyAgain]).await;
        // The plan says another field than the one that an apply of its manifest changes.
        world.rewrite(true, |plan| {
            if more {
                plan.steps[0].diff[0].path = "/data/other".into();
            }
        });
        let (phase, reason, message) = ended(&executed(&mut world).await);
        if more {
            assert_eq!((phase, reason.as_str()), (PlanPhase::Stale, "Stale"), "{message}");
            assert!(message.contains("/data/a too"), "{message}");
            assert!(world.server.written().is_empty());
        } else {
            assert_eq!(phase, PlanPhase::Succeeded, "{message}");
        }
    }
}

#[tokio::test]
async fn a_plan_that_is_not_what_it_says_it_is_is_never_executed() {
    type Forgery = fn(&mut CommandPlanSpec);
    // Whoever forges it: the digest is that of the new content where `digested`, and two people approved that.
    let cases: [(&str, bool, Forgery, &str); 6] = [
        (
            "another number",
            false,
            |plan| plan.steps[0].params.replicas = Some(50),
            "DigestMismatch",
        ),
        (
            "another requester",
            false,
            |plan| plan.requester.username = "mallory".into(),
            "DigestMismatch",
        ),
        (
            "another cluster",
            true,
            |plan| plan.cluster_uid = "other".into(),
            "DigestMismatch",
        ),
        (
            "a lower level",
            true,
            |plan| plan.risk.level = Level::Safe,
            "DigestMismatch",
        ),
        (
            "a lower score",
            true,
            |plan| plan.risk.score = 1,
            "DigestMismatch",
        ),
        (
            "a policy of KubeChat's own",
            true,
            |plan| {
                let target = &mut plan.steps[0].targets[0];
                target.group = "kubechat.io".into();
                target.version = "v1beta1".into();
                target.kind = "RiskPolicy".into();
                target.resource = "riskpolicies".into();
                target.name = "baseline".into();
                target.namespace = None;
                (plan.risk.level, plan.risk.score) = (Level::Destructive, 100);
            },
            "ForbiddenClass",
        ),
    ];
    for (what, digested, forge, reason) in cases {
        let mut world = World::new();
        world.propose(&[Verb::Scale]).await;
        world.rewrite(digested, forge);
        let (phase, why, said) = ended(&executed(&mut world).await);
        assert_eq!(
            (phase, why.as_str()),
            (PlanPhase::Failed, reason),
            "{what}: {said}"
        );
        assert!(
            said.to_lowercase().contains("nothing was executed"),
            "{what}: {said}"
        );
        assert!(!said.contains("No plan was made"), "{what}: {said}");
        assert_eq!(world.server.written(), [], "{what}");
        let entries = world.entries().await;
        assert!(
            entries.iter().any(|e| e.reason == reason),
            "{what}: {:?}",
            World::short(&entries)
        );
    }
}

#[tokio::test]
async fn a_policy_that_changed_between_two_steps_stops_the_plan_there() {
    type Change = Option<fn(&mut Value)>;
    let cases: [(Change, &str, &str); 5] = [
        (
            Some(|pack| pack["spec"]["suspend"] = true.into()),
            "Suspended",
            "RiskPolicy baseline suspends all execution",
        ),
        (None, "NoPolicy", "no RiskPolicy in the cluster. Apply one"),
        (
            Some(|pack| {
                pack["spec"]["notifiers"] =
                    json!([{"name": "n", "type": "Webhook", "endpoint": "https://hooks.example.org"}]);
            }),
            "PolicyNotReady",
            "baseline cannot be honoured",
        ),
        (
            Some(|pack| {
                pack["spec"]["approvals"] = json!({"caution": {"count": 3}, "destructive": {"count": 3}});
            }),
            "RequirementChanged",
            "do not suffice any more",
        ),
        (
            Some(|pack| {
                pack["spec"]["rules"] =
                    json!([{"name": "no", "when": "true", "effect": "Deny", "message": "not today"}]);
            }),
            "PolicyDenied",
            "not today",
        ),
    ];
    for (change, reason, because) in cases {
        for restarted in [false, true] {
            let mut world = World::new();
            let steps = world.propose(&[Verb::Label, Verb::Scale]).await;
            let process = world.start(Fuse::at(Point::AfterResult)).await;
            let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
                panic!("not passed");
            };
            match change {
                Some(change) => world.server.edit(BASELINE, change),
                None => drop(world.server.remove(BASELINE)),
            }
            if restarted {
                drop(stopped);
            } else {
                let _ = stopped.resume().await;
            }
            let (phase, why, said) = ended(&executed(&mut world).await);
            assert_eq!((phase, why.as_str()), (PlanPhase::Interrupted, reason), "{said}");
            for words in ["kubechat rollback plan", "stopped midway", "Done: s1", because] {
                assert!(said.contains(words), "{words:?} in {said}");
            }
            // It does not come back, and something of it was executed.
            for wrong in ["waits", "so nothing is", "..", ". ."] {
                assert!(!said.contains(wrong), "{wrong:?} in {said}");
            }
            let writes = |step: &Step| world.writes(step);
            assert_eq!(
                (writes(&steps[0]), writes(&steps[1])),
                (vec![1], vec![0]),
                "{reason}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_while_admission_does_not_stamp_and_it_goes_on_when_it_does() {
    let mut world = World::new();
    let step = world.propose(&[Verb::Label]).await.remove(0);
    world.server.stamp(false);
    let process = world.start(Fuse::long()).await;
    let error = process.look(&world).await.unwrap_err();
    assert_eq!(error.reason(), "AdmissionUnhealthy");
    assert!(
        process
            .ctx
            .metrics
            .text()
            .contains("kubechat_admission_healthy 0")
    );
    let plan = world.plan();
    let waiting = find(&plan.status.as_ref().unwrap().conditions, types::RECONCILING).unwrap();
    assert_eq!(waiting.reason, "AdmissionUnhealthy");
    assert!(waiting.message.contains("webhook"), "{}", waiting.message);
    assert_eq!(world.server.written(), []);
    world.server.stamp(true);
    assert_eq!(ended(&process.finish(&world).await).0, PlanPhase::Succeeded);
    assert_eq!(world.writes(&step), [1]);
}

/// A plan that creates an object again from bytes that are kept beside it.
async fn from_kept_bytes() -> (World, String, String) {
    let mut world = World::new();
    let target = Target {
        version: "v1".into(),
        kind: "ConfigMap".into(),
        resource: "configmaps".into(),
        namespace: Some("demo".into()),
        name: "back".into(),
        ..Target::default()
    };
    let full = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "back", "namespace": "demo"}, "data": {"a": "b"}});
    let bytes = full.to_string().into_bytes();
    let digest = format!("sha256:{}", kubechat_crds::sha256_hex(&bytes));
    let undo = Undo {
        manifest: Some("(masked)".into()),
        manifest_digest: Some(digest.clone()),
        ..Undo::default()
    };
    let mut draft = recreate::draft(&target, &undo, 0).unwrap();
    let kept = digest.clone();
    draft.sidecars.push(Sidecar { digest: kept, bytes });
    world.approved(vec![draft]).await;
    let uid = world.plan().spec.chat_request_ref.uid;
    (world, uid, digest)
}

#[tokio::test]
async fn a_step_whose_kept_bytes_are_gone_or_altered_is_refused() {
    let (mut world, ..) = from_kept_bytes().await;
    assert_eq!(ended(&executed(&mut world).await).0, PlanPhase::Succeeded);

    for altered in [None, Some(&b"{\"kind\": \"Secret\"}"[..]), Some(&b""[..])] {
        let (mut world, turn, digest) = from_kept_bytes().await;
        let process = world.start(Fuse::long()).await;
        process.ctx.audit.forget(&turn).await.unwrap();
        if let Some(bytes) = altered {
            process
                .ctx
                .audit
                .keep(&turn, &digest, bytes.to_vec())
                .await
                .unwrap();
        }
        let (phase, why, said) = ended(&process.finish(&world).await);
        assert_eq!((phase, why.as_str()), (PlanPhase::Failed, "Invalid"), "{said}");
        assert!(
            said.contains("no longer kept") && said.contains(&digest),
            "{said}"
        );
        assert_eq!(world.server.written(), []);
        assert!(world.server.get(&plan_path()).is_some());
    }
}

#[tokio::test]
async fn a_refusal_that_the_log_could_not_take_at_first_still_ends_the_plan_with_its_entry() {
    for left_over in [false, true] {
        let mut world = World::new();
        let step = world.propose(&[Verb::Label]).await.remove(0);
        world.server.fates(|asked: &Asked| {
            if asked.dry_run && asked.path.contains("configmaps") {
                Fate::Refused(422)
            } else {
                Fate::Answered
            }
        });
        let process = world.start(Fuse::long()).await;
        process
            .store
            .luck(|what| if what == "entry" { Luck::Away } else { Luck::Good });
        for _ in 0..3 {
            process.look(&world).await.unwrap_err();
            let status = world.plan().status.unwrap_or_default();
            assert!(!is_finished(&status.conditions));
            assert!(
                status.steps.iter().all(|s| s.state == StepState::Pending),
                "{status:?}"
            );
        }
        // However it came to be: an unfinished plan is not held up by a step that says it was skipped.
        if left_over {
            world.server.edit(&plan_path(), |o| {
                o["status"]["steps"] = json!([{"id": "s1", "state": "Skipped"}]);
            });
        }
        process.store.luck(|_| Luck::Good);
        let plan = process.finish(&world).await;
        let (phase, why, said) = ended(&plan);
        assert_eq!(
            (phase, why.as_str()),
            (PlanPhase::Failed, "DryRunFailed"),
            "{said}"
        );
        assert!(said.contains("refused step s1"), "{said}");
        let status = &plan.status.unwrap().steps[0];
        assert_eq!(
            (status.state, status.reason.as_deref()),
            (StepState::Skipped, Some("DryRunFailed"))
        );
        assert_eq!(world.writes(&step), [0]);
        let entries = world.entries().await;
        let told = entries.iter().filter(|e| e.reason == "DryRunFailed");
        assert_eq!(told.count(), 1, "{:?}", World::short(&entries));
    }
}

#[tokio::test]
async fn what_a_controller_wrote_since_makes_no_plan_stale_and_what_anybody_else_wrote_does() {
    type Change = fn(&mut Value);
    let stale = PlanPhase::Stale;
    let cases: [(&str, Change, PlanPhase); 5] = [
        (
            "status",
            |o| o["status"]["conditions"] = json!([{"type": "Progressing", "status": "True"}]),
            PlanPhase::Succeeded,
        ),
        (
            "its own annotation",
            |o| o["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "7"}),
            PlanPhase::Succeeded,
        ),
        (
            "annotation",
            |o| o["metadata"]["annotations"] = json!({"note": "hands off"}),
            stale,
        ),
        ("label", |o| o["metadata"]["labels"]["team"] = "x".into(), stale),
        ("spec", |o| o["spec"]["minReadySeconds"] = 5.into(), stale),
    ];
    for verb in [Verb::Scale, Verb::Restart, Verb::SetImage] {
        for (what, change, expected) in cases {
            let mut world = World::new();
            let step = world.propose(&[verb]).await.remove(0);
            world.server.edit(&path_of(&step.targets[0]), change);
            let (phase, _, said) = ended(&executed(&mut world).await);
            assert_eq!(phase, expected, "{verb:?} {what}: {said}");
            let sent = usize::from(expected != stale);
            assert_eq!(world.writes(&step), [sent], "{verb:?} {what}");
        }
    }
}

/// Has the API server fail each such request.
fn broken(world: &World, these: impl Fn(&Asked) -> bool + Send + 'static) {
    world.server.fates(move |asked: &Asked| {
        if these(asked) {
            Fate::Refused(500)
        } else {
            Fate::Answered
        }
    });
}

#[tokio::test]
async fn nothing_is_sent_while_something_it_rests_on_cannot_be_read_and_it_goes_on_when_it_can() {
    let reads = [
        "/commandplans/plan",
        "/approvals",
        "/riskpolicies",
        "/chatrequests/turn",
        "/subjectaccessreviews",
        "/selfsubjectreviews",
        "/api/v1/namespaces/demo/configmaps/",
    ];
    for path in reads {
        let mut world = World::new();
        let step = world.propose(&[Verb::Label]).await.remove(0);
        let review = path.ends_with("reviews");
        broken(&world, move |asked| {
            asked.path.contains(path) && (asked.method == "GET" || review)
        });
        let process = world.start(Fuse::long()).await;
        for _ in 0..3 {
            let error = process.look(&world).await.unwrap_err();
            assert_eq!(error.reason(), "Unreachable", "{path}: {error}");
        }
        assert_eq!(world.server.written(), [], "{path}");
        let ended = |plan: CommandPlan| plan.status.is_some_and(|s| is_finished(&s.conditions));
        assert!(!ended(world.plan()), "{path}");
        world.server.fates(|_| Fate::Answered);
        assert_eq!(
            ended_as(&process.finish(&world).await),
            PlanPhase::Succeeded,
            "{path}"
        );
        assert_eq!(world.writes(&step), [1], "{path}");
    }
}

fn ended_as(plan: &CommandPlan) -> PlanPhase {
    ended(plan).0
}

#[tokio::test]
async fn more_decisions_or_policies_than_can_be_read_execute_nothing() {
    const OURS: &str = "/apis/kubechat.io/v1beta1";
    for (collection, kind, spec) in [
        (
            format!("{OURS}/namespaces/demo/approvals"),
            "Approval",
            json!({"planRef": {"name": "plan"}, "planDigest": "sha256:other", "decision": "Approve"}),
        ),
        (format!("{OURS}/riskpolicies"), "RiskPolicy", json!({})),
    ] {
        let mut world = World::new();
        let step = world.propose(&[Verb::Label]).await.remove(0);
        let process = world.start(Fuse::long()).await;
        for n in 0..5_001 {
            let name = format!("more-{n}");
            let one = json!({"apiVersion": "kubechat.io/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec});
            world.server.put(&format!("{collection}/{name}"), one);
        }
        let error = process.look(&world).await.unwrap_err();
        assert_eq!(error.reason(), "LimitExceeded", "{kind}: {error}");
        assert!(error.to_string().contains("nothing is executed"), "{error}");
        assert_eq!(world.writes(&step), [0], "{kind}");
    }
}
