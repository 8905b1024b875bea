use kube::core::ObjectMeta;
use kubechat_core::policy::Effective;
use kubechat_crds::command_plan::{StepStatus, Target};
use kubechat_crds::{CommandPlanSpec, CommandPlanStatus, RiskPolicy, RiskPolicySpec, StepState};
use serde_json::json;

use jiff::{SignedDuration, Timestamp};
use kubechat_crds::command_plan::Effect;
use kubechat_crds::{CommandPlan, Mode, PlanPhase};

use std::sync::{Arc, OnceLock};

use kubechat_core::interpret::Lexicon;

use super::*;
use crate::cli::testing::plan as scale;
use crate::cluster::discovery::Kinds;
use crate::compile::Bounds;
use crate::past::Removed;
use crate::testing::people::person;
use crate::testing::process::{Fuse, Process, World};

fn now() -> Timestamp {
    "2026-05-01T10:00:00Z".parse().unwrap()
}

/// A plan of alice's, so many minutes old, on these Deployments.
fn plan(age: i64, names: &[&str], effect: Effect) -> CommandPlan {
    let mut plan = scale();
    plan.metadata = ObjectMeta {
        creation_timestamp: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            now().checked_sub(SignedDuration::from_mins(age)).unwrap(),
        )),
        ..ObjectMeta::default()
    };
    plan.status = None;
    let step = &mut plan.spec.steps[0];
    step.effect = effect;
    let one = step.targets[0].clone();
    step.targets = names
        .iter()
        .map(|name| Target {
            name: (*name).to_owned(),
            ..one.clone()
        })
        .collect();
    plan
}

fn ended(mut plan: CommandPlan, phase: PlanPhase, state: StepState) -> CommandPlan {
    plan.status = Some(CommandPlanStatus {
        phase: Some(phase),
        steps: vec![StepStatus {
            state,
            ..StepStatus::default()
        }],
        ..CommandPlanStatus::default()
    });
    plan
}

fn counted(plans: &[CommandPlan]) -> (i32, i64, i64) {
    let found = window(&Removed::default().with(plans.iter(), "alice", now()));
    (found.plans, found.objects, found.deleted)
}

#[test]
fn the_window_adds_up_what_one_person_changed_within_the_hour() {
    let update = Effect::Update;
    assert_eq!(counted(&[]), (0, 0, 0));
    assert_eq!(
        counted(&[plan(59, &["a", "b"], update), plan(5, &["c"], update)]),
        (2, 3, 0)
    );
    assert_eq!(
        counted(&[plan(5, &["a"], update), plan(9, &["a"], update)]),
        (2, 1, 0),
        "one object"
    );
    assert_eq!(counted(&[plan(5, &["a", "b"], Effect::Delete)]), (1, 2, 2));
    assert_eq!(
        counted(&[plan(61, &["a"], update)]),
        (0, 0, 0),
        "older than the hour"
    );
    let mut bob = plan(5, &["a"], update);
    bob.spec.requester.username = "bob".into();
    assert_eq!(counted(&[bob]), (0, 0, 0), "somebody else's");
    let mut undated = plan(5, &["a"], update);
    undated.metadata.creation_timestamp = None;
    assert_eq!(counted(&[undated]), (1, 1, 0), "of unknown age");
}

#[test]
fn plans_that_were_too_many_to_keep_one_by_one_count_in_the_window() {
    let many = Many {
        plans: 5,
        effects: 3,
        changed: 7,
        deleted: 2,
    };
    let rest = Past {
        effect: true,
        many: Some(many),
        ..Past::default()
    };
    let one = Past::of(&plan(5, &["a"], Effect::Update));
    let found = window(&[one, rest]);
    assert_eq!((found.plans, found.objects, found.deleted), (4, 8, 2));
}

#[test]
fn objects_that_the_log_does_not_name_count_in_the_window() {
    let unnamed = Many {
        changed: 30,
        deleted: 20,
        ..Many::default()
    };
    let one = Past {
        unnamed,
        ..Past::of(&plan(5, &["a", "b"], Effect::Delete))
    };
    let found = window(std::slice::from_ref(&one));
    assert_eq!((found.plans, found.objects, found.deleted), (1, 32, 22));
    assert_eq!((one.sum().changed, one.sum().deleted), (32, 22));
    let nothing = Past { effect: false, ..one };
    let found = window(&[nothing]);
    assert_eq!((found.plans, found.objects, found.deleted), (0, 0, 0));
}

#[test]
fn a_name_removed_again_and_again_is_counted_as_often() {
    let removed = |uid: &str| {
        let mut plan = plan(5, &["a"], Effect::Delete);
        plan.spec.steps[0].targets[0].uid = Some(uid.into());
        plan
    };
    assert_eq!(counted(&[removed("1"), removed("2"), removed("2")]), (3, 1, 2));
}

#[test]
fn plans_that_ended_without_an_effect_do_not_count_and_those_that_wait_do() {
    use PlanPhase::{
        Approved, AwaitingApproval, Blocked, Cancelled, Denied, Executing, Expired, Failed, Interrupted,
        PlanOnly, Stale, Succeeded,
    };
    use StepState::{Done, Pending, Skipped, Unknown};
    let cases = [
        (AwaitingApproval, Pending, 1),
        (Approved, Pending, 1),
        (Executing, Pending, 1),
        (Succeeded, Done, 1),
        (Failed, Done, 1),
        (Interrupted, Unknown, 1),
        (Failed, Skipped, 0),
        (Interrupted, Skipped, 0),
        (Denied, Skipped, 0),
        (Blocked, Skipped, 0),
        (Expired, Skipped, 0),
        (Cancelled, Skipped, 0),
        (Stale, Skipped, 0),
        (PlanOnly, Skipped, 0),
    ];
    for (phase, state, expected) in cases {
        let plans = [ended(plan(5, &["a"], Effect::Update), phase, state)];
        assert_eq!(counted(&plans).0, expected, "{phase:?} {state:?}");
    }
    let mut shown = plan(5, &["a"], Effect::Update);
    shown.spec.mode = Mode::PlanOnly;
    assert_eq!(counted(&[shown]).0, 0, "never executed");
}

fn policies(selector: &serde_json::Value) -> Effective {
    let spec: RiskPolicySpec = serde_json::from_value(json!({"protectedNamespaces": selector})).unwrap();
    let open = RiskPolicy::new("open", RiskPolicySpec::default());
    Effective::from_policies(&[open, RiskPolicy::new("p", spec)]).unwrap()
}

#[test]
fn a_namespace_is_protected_where_any_policy_says_so_or_nobody_can_say() {
    let labels = |pairs: &[(&str, &str)]| -> Option<BTreeMap<String, String>> {
        Some(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    };
    let some = policies(&json!({"matchLabels": {"tier": "gold"}}));
    let cases = [
        (labels(&[("tier", "gold")]), Some(&some), true),
        (labels(&[("tier", "tin")]), Some(&some), false),
        (labels(&[]), Some(&some), false),
        (None, Some(&some), true),
        (labels(&[]), None, true),
    ];
    for (given, policies, protected) in cases {
        let found = fact("demo", given.clone(), policies);
        assert_eq!(found.protected, protected, "{given:?}");
        assert_eq!(found.labels, given.unwrap_or_default());
        assert_eq!(found.name, "demo");
    }
}

#[test]
fn more_labels_than_a_plan_holds_count_as_unread() {
    let many = (0..65).map(|n| (format!("k{n}"), String::new())).collect();
    let found = fact(
        "demo",
        Some(many),
        Some(&policies(&json!({"matchLabels": {"a": "b"}}))),
    );
    assert!(found.protected && found.labels.is_empty());
}

#[test]
fn labels_that_are_no_strings_are_not_labels() {
    assert_eq!(labels_of(&json!({"metadata": {}})), Some(BTreeMap::new()));
    assert_eq!(labels_of(&json!({"metadata": {"labels": {"a": 1}}})), None);
    let named = labels_of(&json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(named, Some([("a".to_owned(), "b".to_owned())].into()));
}

#[test]
fn a_namespace_that_the_plan_makes_is_not_read() {
    let mut made = scale().spec;
    made.steps[0].action = Action::CreateNamespace;
    made.steps[0].targets[0].name = "new".into();
    let CommandPlanSpec { steps, .. } = made;
    assert!(is_new(&steps, "new") && !is_new(&steps, "demo"));
}

/// A plan on Deployment `web` in `demo` for which the glass was broken, so many minutes old.
fn emergency(age: i64) -> CommandPlan {
    let mut plan = plan(age, &["web"], Effect::Update);
    let decisions =
        json!([{"name": "a", "username": "oncall", "via": "BreakGlass", "decision": "Approve", "time": ""}]);
    let status =
        json!({"approvals": {"summary": "1/1", "required": 1, "received": 1, "decisions": decisions}});
    plan.status = Some(serde_json::from_value(status).unwrap());
    plan
}

fn reviewed(mut plan: CommandPlan, status: &str) -> CommandPlan {
    let condition = json!([{"type": "Reviewed", "status": status, "reason": "x", "message": "", "lastTransitionTime": "2026-05-01T09:00:00Z"}]);
    plan.status.as_mut().unwrap().conditions = serde_json::from_value(condition).unwrap();
    plan
}

#[test]
fn an_incident_is_under_way_where_the_glass_was_broken_and_nobody_has_reviewed_it() {
    let of = |plan: &CommandPlan, namespace: &str| is_emergency(plan, &[namespace].into(), now());
    assert!(of(&emergency(5), "demo"));
    assert!(of(&reviewed(emergency(5), "Unknown"), "demo"));
    assert!(of(&reviewed(emergency(5), "False"), "demo"), "overdue");
    assert!(!of(&reviewed(emergency(5), "True"), "demo"));
    assert!(!of(&emergency(5), "other"), "elsewhere");
    assert!(of(&emergency(24 * 60 - 1), "demo"));
    assert!(!of(&emergency(24 * 60), "demo"), "long ago");
    assert!(!of(&plan(5, &["web"], Effect::Update), "demo"), "never decided");
    let mut direct = emergency(5);
    direct
        .status
        .as_mut()
        .unwrap()
        .approvals
        .as_mut()
        .unwrap()
        .decisions[0]
        .via = kubechat_crds::Via::Direct;
    assert!(!of(&direct, "demo"));
}

#[test]
fn hidden_characters_and_models_are_text_that_no_person_wrote() {
    let turn = |prompt: &str, provider: Option<&str>| {
        let spec = kubechat_crds::ChatRequestSpec {
            prompt: prompt.into(),
            ..Default::default()
        };
        let mut turn = ChatRequest::new("turn", spec);
        turn.status = provider.map(|provider| kubechat_crds::ChatRequestStatus {
            interpretation: Some(kubechat_crds::chat_request::InterpretationStatus {
                provider: provider.into(),
                ..Default::default()
            }),
            ..Default::default()
        });
        turn
    };
    for hidden in [
        '\u{200b}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{e0041}',
        '\u{ad}',
    ] {
        assert!(
            is_untrusted(&turn(&format!("scale web to 3{hidden}"), None)),
            "{hidden:?}"
        );
    }
    for shown in [
        "scale web to 3",
        "scale web to 3 \u{2764}\u{fe0f} \u{1f469}\u{200d}\u{1f4bb}",
        "skaliere wéb auf 3",
    ] {
        assert!(!is_untrusted(&turn(shown, None)), "{shown:?}");
        assert!(!is_untrusted(&turn(shown, Some("rules"))));
        assert!(is_untrusted(&turn(shown, Some("some-model"))));
    }
}

/// A turn of this person's.
async fn asked<'a>(process: &'a Process, request: &'a ChatRequest, who: &str) -> Turn<'a> {
    let acting = kubechat_core::authz::acting(&person(who, &["developers"])).unwrap();
    Turn {
        ctx: &process.ctx,
        request,
        namespace: "demo".into(),
        person: ClientDebug(process.ctx.people.reader(&acting).await.unwrap()),
        acting,
        kinds: Arc::new(Kinds {
            all: vec![],
            lexicon: Lexicon::builtin(),
        }),
        policies: process.ctx.policies(),
        bounds: Bounds::own("demo"),
        default_namespace: "demo".into(),
        given: None,
        session: None,
        now: Timestamp::now(),
        hour: OnceLock::new(),
    }
}

#[tokio::test]
async fn of_two_turns_at_once_of_one_person_the_second_sees_the_plan_of_the_first() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let request = |uid: &str| {
        let mut request = ChatRequest::new(uid, kubechat_crds::ChatRequestSpec::default());
        request.metadata.uid = Some(uid.into());
        request
    };
    let (one, two, three) = (request("first"), request("second"), request("third"));
    let (first, second) = (
        asked(&process, &one, "alice").await,
        asked(&process, &two, "alice").await,
    );
    assert_eq!(gather(&first, &[]).await.unwrap().window.plans, 0);
    // Nobody waits in here, where others could be worked on: it comes again.
    let comes_again = gather(&second, &[]).await;
    assert!(
        matches!(comes_again, Err(Stop::Retry(Error::InLine))),
        "{comes_again:?}"
    );
    // Nobody else comes after them.
    let other = asked(&process, &three, "bob").await;
    assert_eq!(gather(&other, &[]).await.unwrap().window.plans, 0);
    let mut made = plan(0, &["a", "b"], Effect::Update);
    made.metadata.creation_timestamp = None;
    made.spec.chat_request_ref.uid = "first".into();
    process.ctx.past.made(&made, Timestamp::now());
    drop(first);
    let seen = gather(&second, &[]).await.unwrap().window;
    assert_eq!((seen.plans, seen.objects), (1, 2));
}
