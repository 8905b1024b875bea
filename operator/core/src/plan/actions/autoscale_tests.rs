use kubechat_crds::command_plan::Effect;
use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Value, json};

use super::Beside;
use super::changes_tests::{asked, deployment, found, kind, plain};
use crate::plan::{Found, Refusal};

// Tables read better with values.
#[allow(clippy::needless_pass_by_value)]
fn autoscaler(of: &str, name: &str, metrics: Value) -> Found {
    let mut hpa = kind(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
    );
    hpa.scalable = false;
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": of});
    found(
        hpa,
        name,
        json!({"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3, "metrics": metrics}),
    )
}

fn numbers(min: Option<i32>, max: Option<i32>, cpu: Option<i32>) -> IntentParams {
    IntentParams {
        min_replicas: min,
        max_replicas: max,
        cpu_percent: cpu,
        ..IntentParams::default()
    }
}

#[test]
fn an_autoscaler_is_made_where_there_is_none_and_changed_where_there_is_one() {
    let web = deployment(None);
    let made = plain(Action::Autoscale, numbers(Some(2), Some(5), None), &web).unwrap();
    assert_eq!(made.step.effect, Effect::Create);
    assert_eq!(made.step.rollback.action, Some(Action::Delete));
    let manifest: Value = serde_json::from_str(made.step.manifest.as_deref().unwrap()).unwrap();
    assert_eq!(
        manifest["spec"]["scaleTargetRef"],
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})
    );
    assert_eq!(
        manifest["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"],
        80
    );

    let mut step = made.step.clone();
    crate::plan::finish(&mut step, 0);
    assert_eq!(
        step.command,
        "kubectl autoscale deployment/web --min=2 --max=5 --cpu-percent=80 -n demo"
    );
    let cpu = |percent: i32| json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}]);
    let mine = [
        autoscaler("web", "web-hpa", cpu(60)),
        autoscaler("api", "api", cpu(60)),
    ];
    let with = |params| {
        let beside = Beside {
            related: &mine,
            ..Beside::default()
        };
        asked(Action::Autoscale, params, &web, beside)
    };
    let changed = with(numbers(None, Some(5), Some(70))).unwrap();
    assert_eq!(
        (changed.step.effect, changed.step.targets[0].name.as_str()),
        (Effect::Update, "web-hpa")
    );
    let undo = changed.step.rollback.undo_of(0).unwrap().params;
    assert_eq!(undo, numbers(Some(1), Some(3), Some(60)));
    // What undoes it is asked of the autoscaler itself.
    let back = plain(Action::Autoscale, undo, &autoscaler("web", "web-hpa", cpu(70))).unwrap();
    assert!(back.step.patch.unwrap().contains("\"averageUtilization\":60"));
    assert!(matches!(
        with(numbers(Some(1), Some(3), Some(60))),
        Err(Refusal::Nothing(_))
    ));
    assert!(matches!(
        with(numbers(Some(9), None, None)),
        Err(Refusal::Invalid(_))
    ));
    assert!(matches!(
        with(numbers(None, None, None)),
        Err(Refusal::NeedsInput { .. })
    ));
}

#[test]
fn an_autoscaler_that_is_unclear_or_goes_by_more_than_cpu_is_asked_about() {
    let web = deployment(None);
    let with = |related: &[Found], params| {
        asked(
            Action::Autoscale,
            params,
            &web,
            Beside {
                related,
                ..Beside::default()
            },
        )
    };
    let memory = json!([{"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 50}}}]);
    let other = [autoscaler("web", "web", memory)];
    assert!(matches!(
        with(&other, numbers(None, None, Some(70))),
        Err(Refusal::Invalid(_))
    ));
    let draft = with(&other, numbers(None, Some(9), None)).unwrap();
    assert!(
        !draft.step.patch.unwrap().contains("metrics"),
        "its metrics are left alone"
    );
    let two = [
        autoscaler("web", "a", json!([])),
        autoscaler("web", "b", json!([])),
    ];
    assert!(matches!(
        with(&two, numbers(None, Some(9), None)),
        Err(Refusal::NeedsInput { .. })
    ));
    let taken = [autoscaler("api", "web", json!([]))];
    assert!(matches!(
        with(&taken, numbers(None, Some(9), None)),
        Err(Refusal::Invalid(_))
    ));
    assert!(matches!(
        with(&[], numbers(Some(2), None, None)),
        Err(Refusal::NeedsInput { .. })
    ));
    assert!(matches!(
        with(&[], numbers(Some(5), Some(2), None)),
        Err(Refusal::Invalid(_))
    ));
}

#[test]
fn a_maximum_below_what_runs_is_judged_as_a_scale_to_it() {
    use crate::risk::{floors, judge};
    let many = |replicas: Option<i32>| {
        let mut web = deployment(None);
        web.object["spec"]["replicas"] = json!(replicas);
        web
    };
    let judged = |step: &kubechat_crds::Step| {
        let mut plan = crate::risk::testing::plan(vec![step.clone()]);
        // A number that a scale would have too.
        plan.steps[0].rollback.kind = kubechat_crds::command_plan::RollbackKind::Inverse;
        let risk = judge(&plan);
        (
            crate::risk::testing::weight(&risk, "lost-pods"),
            crate::risk::testing::weight(&risk, "verb"),
        )
    };
    let floor = |step: &kubechat_crds::Step| floors::autoscale(step).id;
    // What a prompt says of it is no evidence.
    let lie = IntentParams {
        current_replicas: Some(1),
        ..numbers(None, Some(1), None)
    };
    for (replicas, expected) in [
        (Some(150), ("scale-down", (45, 30))),
        (Some(2), ("scale-down", (10, 30))),
        (Some(1), ("autoscale", (0, 20))),
        (Some(0), ("autoscale", (0, 20))),
        // Kubernetes fills in one.
        (None, ("autoscale", (0, 20))),
    ] {
        let mut web = many(replicas);
        if replicas.is_none() {
            web.object["spec"].as_object_mut().unwrap().remove("replicas");
        }
        let made = plain(Action::Autoscale, lie.clone(), &web).unwrap().step;
        assert_eq!((floor(&made), judged(&made)), expected, "{replicas:?}");
        let mine = [autoscaler("web", "web", json!([]))];
        let beside = Beside {
            related: &mine,
            ..Beside::default()
        };
        let changed = asked(Action::Autoscale, lie.clone(), &web, beside).unwrap().step;
        assert_eq!((floor(&changed), judged(&changed)), expected, "{replicas:?}");
    }
    // A number that cannot be read is the worst.
    let mut made = plain(Action::Autoscale, lie, &many(Some(150))).unwrap().step;
    made.params.current_replicas = None;
    assert_eq!((floor(&made), judged(&made)), ("scale-unknown", (10, 50)));
    // Asked of the autoscaler itself: its status says it, or else as many as it lets be.
    let mut own = autoscaler("web", "web", json!([]));
    let of = |own: &Found| {
        let step = plain(Action::Autoscale, numbers(None, Some(1), None), own)
            .unwrap()
            .step;
        step.params.current_replicas
    };
    assert_eq!(of(&own), Some(3));
    own.object["status"] = json!({"currentReplicas": 2});
    assert_eq!(of(&own), Some(2));
}
