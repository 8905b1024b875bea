use kubechat_crds::command_plan::{Rollback, Target};
use kubechat_crds::intent::IntentParams;
use proptest::prelude::*;

use super::*;

pub(crate) fn step(action: Action, effect: Effect, group: &str, kind: &str, name: &str) -> Step {
    Step {
        id: "s1".into(),
        action,
        effect,
        targets: vec![Target {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            resource: format!("{}s", kind.to_lowercase()),
            namespace: Some("demo".into()),
            name: name.into(),
            ..Target::default()
        }],
        params: IntentParams::default(),
        command: String::new(),
        patch: None,
        subresource: None,
        manifest: None,
        manifest_digest: None,
        diff: vec![],
        access: vec![],
        selected_by: vec![],
        selector: None,
        owners: vec![],
        level: Level::Safe,
        rollback: Rollback::default(),
    }
}

fn scale(n: Option<i32>) -> Step {
    let mut s = step(Action::Scale, Effect::Update, "apps", "Deployment", "web");
    s.params.replicas = n;
    s
}

#[test]
fn floors_are_as_the_design_says() {
    use Level::{Caution, Destructive, Safe};
    let update = Effect::Update;
    let mut guarded = step(Action::Annotate, update, "apps", "Deployment", "web");
    guarded
        .params
        .set
        .insert("argocd.argoproj.io/sync-options".into(), "Prune=confirm".into());
    let mut selected = step(Action::Label, update, "", "Pod", "web-1");
    selected.selected_by = vec!["service/web".into()];
    let mut no_target = scale(Some(3));
    no_target.targets.clear();
    let cases = [
        (step(Action::List, Effect::Read, "", "Pod", "a"), Safe),
        (step(Action::List, update, "", "Pod", "a"), Destructive),
        (scale(Some(5)), Caution),
        (scale(Some(0)), Destructive),
        (scale(Some(-1)), Destructive),
        (scale(None), Destructive),
        (no_target, Destructive),
        (step(Action::Restart, update, "apps", "Deployment", "a"), Caution),
        (step(Action::SetImage, update, "apps", "Deployment", "a"), Caution),
        (
            step(Action::SetResources, update, "apps", "Deployment", "a"),
            Caution,
        ),
        (step(Action::Delete, Effect::Delete, "", "Pod", "a"), Destructive),
        (step(Action::Label, update, "", "Pod", "a"), Caution),
        (selected, Destructive),
        (step(Action::Label, update, "", "Namespace", "a"), Destructive),
        (step(Action::Annotate, update, "", "Node", "a"), Destructive),
        (step(Action::Label, update, "", "Secret", "a"), Destructive),
        (
            step(Action::Label, update, "example.com", "Widget", "a"),
            Destructive,
        ),
        (guarded, Destructive),
        (step(Action::Cordon, update, "", "Node", "a"), Caution),
        (step(Action::Uncordon, update, "", "Node", "a"), Caution),
        (
            step(Action::CreateNamespace, Effect::Create, "", "Namespace", "a"),
            Caution,
        ),
        (
            step(Action::RolloutUndo, update, "apps", "Deployment", "a"),
            Destructive,
        ),
        (
            step(Action::Recreate, Effect::Create, "", "ConfigMap", "a"),
            Caution,
        ),
        (
            step(
                Action::Recreate,
                Effect::Create,
                "rbac.authorization.k8s.io",
                "Role",
                "a",
            ),
            Destructive,
        ),
    ];
    for (step, want) in cases {
        let risk = judge_steps(std::slice::from_ref(&step));
        assert_eq!(risk.level, want, "{:?} of {:?}", step.action, step.targets);
        assert_eq!(risk.score, want.score_floor());
        assert!(!risk.factors.is_empty());
    }
}

#[test]
fn forbids_changes_of_kubechat_itself_and_deletes_in_the_control_plane() {
    let mut kube_system = step(Action::Delete, Effect::Delete, "", "Pod", "dns");
    kube_system.targets[0].namespace = Some("kube-system".into());
    let mut namespace = step(Action::Delete, Effect::Delete, "", "Namespace", "kube-system");
    namespace.targets[0].namespace = None;
    let forbidden = [
        step(
            Action::Label,
            Effect::Update,
            "kubechat.io",
            "RiskPolicy",
            "baseline",
        ),
        step(Action::Delete, Effect::Delete, "kubechat.io", "Approval", "a"),
        step(
            Action::Delete,
            Effect::Delete,
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration",
            "kubechat",
        ),
        step(
            Action::Delete,
            Effect::Delete,
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            "approvals.kubechat.io",
        ),
        kube_system,
        namespace,
    ];
    for step in forbidden {
        assert!(check_forbidden(&step).is_err(), "{:?}", step.targets);
    }
    assert!(check_forbidden(&scale(Some(5))).is_ok());
    assert!(
        check_forbidden(&step(
            Action::List,
            Effect::Read,
            "kubechat.io",
            "CommandPlan",
            "p"
        ))
        .is_ok()
    );
}

fn any_step() -> impl Strategy<Value = Step> {
    let actions = proptest::sample::select(Action::ALL.to_vec());
    let kinds = proptest::sample::select(vec![
        ("", "Pod"),
        ("apps", "Deployment"),
        ("", "Secret"),
        ("", "Node"),
        ("x.io", "Odd"),
    ]);
    (actions, kinds, proptest::option::of(-2..10i32), any::<bool>()).prop_map(
        |(action, (group, kind), n, read)| {
            let effect = if read { Effect::Read } else { Effect::Update };
            let mut s = step(action, effect, group, kind, "x");
            s.params.replicas = n;
            s
        },
    )
}

proptest! {
    #[test]
    fn adding_a_step_or_target_never_lowers_the_score(steps in proptest::collection::vec(any_step(), 1..6), more in any_step()) {
        let before = judge_steps(&steps);
        let mut longer = steps.clone();
        longer.push(more.clone());
        prop_assert!(judge_steps(&longer).score >= before.score);
        let mut wider = steps;
        wider[0].targets.extend(more.targets);
        prop_assert!(judge_steps(&wider).level >= before.level);
    }

    #[test]
    fn the_order_of_steps_does_not_matter(mut steps in proptest::collection::vec(any_step(), 1..6)) {
        let before = judge_steps(&steps);
        steps.reverse();
        let after = judge_steps(&steps);
        prop_assert_eq!((before.level, before.score, before.factors.len()), (after.level, after.score, after.factors.len()));
    }
}
