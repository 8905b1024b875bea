use kubechat_crds::command_plan::Access;
use kubechat_crds::intent::Action;

use super::testing::*;
use super::*;

fn ids(step: &Step) -> Vec<&'static str> {
    floors::of(&plan(vec![step.clone()])).into_keys().collect()
}

#[test]
fn every_floor_rule_fires_on_what_it_is_for_and_says_how_dangerous_that_is() {
    use Action::{
        Annotate, Cordon, CreateNamespace, Label, List, Recreate, RolloutUndo, SetImage, SetResources,
        Uncordon,
    };
    use Level::{Caution, Destructive, Safe};
    const RBAC: &str = "rbac.authorization.k8s.io";
    const ADMISSION: &str = "admissionregistration.k8s.io";
    let update = Effect::Update;
    let with = |mut step: Step, change: fn(&mut Step)| {
        change(&mut step);
        step
    };
    let label = |key: &'static str, action| {
        let mut labelled = step(action, update, "apps", "Deployment", "web");
        labelled.params.remove = vec![key.into()];
        labelled
    };
    let deployment = |action| step(action, update, "apps", "Deployment", "a");
    let cases = [
        (step(List, Effect::Read, "", "Pod", "a"), Safe, "read"),
        (step(List, Effect::Read, "", "Secret", "a"), Safe, "read"),
        (scale(Some(2), Some(5)), Caution, "scale-up"),
        (scale(Some(5), Some(2)), Caution, "scale-down"),
        (scale(None, Some(5)), Caution, "scale-down"),
        (restart("a"), Caution, "restart"),
        (deployment(SetImage), Caution, "set-image"),
        (deployment(SetResources), Caution, "set-resources"),
        (deployment(Label), Caution, "label"),
        (deployment(Annotate), Caution, "annotate"),
        (step(Cordon, update, "", "Node", "a"), Caution, "cordon"),
        (step(Uncordon, update, "", "Node", "a"), Caution, "uncordon"),
        (
            step(CreateNamespace, Effect::Create, "", "Namespace", "a"),
            Caution,
            "create-namespace",
        ),
        (
            step(Recreate, Effect::Create, "", "ConfigMap", "a"),
            Caution,
            "recreate",
        ),
        (scale(Some(5), Some(0)), Destructive, "scale-to-zero"),
        (scale(Some(5), Some(-1)), Destructive, "scale-to-zero"),
        (scale(Some(5), None), Destructive, "scale-unknown"),
        (delete("", "ConfigMap", "a"), Destructive, "delete"),
        (
            with(restart("a"), |s| s.effect = Effect::Delete),
            Destructive,
            "delete",
        ),
        (deployment(RolloutUndo), Destructive, "rollout-undo"),
        (
            step(Label, update, "", "PersistentVolumeClaim", "a"),
            Destructive,
            "storage-change",
        ),
        (
            step(Label, update, "", "PersistentVolume", "a"),
            Destructive,
            "storage-change",
        ),
        (
            step(Label, update, "storage.k8s.io", "StorageClass", "a"),
            Destructive,
            "storage-change",
        ),
        (
            step(Label, update, "", "Secret", "a"),
            Destructive,
            "secret-change",
        ),
        (
            step(Recreate, Effect::Create, "", "Secret", "a"),
            Destructive,
            "secret-change",
        ),
        (
            step(Recreate, Effect::Create, RBAC, "Role", "a"),
            Destructive,
            "rbac-change",
        ),
        (
            step(Label, update, RBAC, "ClusterRoleBinding", "a"),
            Destructive,
            "rbac-change",
        ),
        (
            step(Label, update, ADMISSION, "MutatingWebhookConfiguration", "a"),
            Destructive,
            "admission-change",
        ),
        (
            step(Label, update, ADMISSION, "ValidatingAdmissionPolicy", "a"),
            Destructive,
            "admission-change",
        ),
        (
            step(
                Label,
                update,
                "apiextensions.k8s.io",
                "CustomResourceDefinition",
                "a",
            ),
            Destructive,
            "definition-change",
        ),
        (
            step(Label, update, "", "Namespace", "a"),
            Destructive,
            "namespace-change",
        ),
        (
            step(Annotate, update, "", "Namespace", "a"),
            Destructive,
            "namespace-change",
        ),
        (
            step(Annotate, update, "", "Node", "a"),
            Destructive,
            "node-change",
        ),
        (
            with(step(Label, update, "", "Pod", "web-1"), |s| {
                s.selected_by = vec!["service/web".into()];
            }),
            Destructive,
            "selector-label",
        ),
        (
            with(step(Label, update, "", "Pod", "web-1"), |s| {
                s.selected_by = vec!["unreadable: services".into()];
            }),
            Destructive,
            "selector-label",
        ),
        (
            label("argocd.argoproj.io/sync-options", Annotate),
            Destructive,
            "guard-annotation",
        ),
        (
            label("policy.kruise.io/delete-protection", Label),
            Destructive,
            "guard-annotation",
        ),
        (
            label("kustomize.toolkit.fluxcd.io/prune", Annotate),
            Destructive,
            "guard-annotation",
        ),
        (
            label("kubechat.io/step-id", Annotate),
            Destructive,
            "guard-annotation",
        ),
        (
            step(Label, update, "example.com", "Widget", "a"),
            Destructive,
            "unknown-kind",
        ),
        (
            with(restart("a"), |s| s.subresource = Some("status".into())),
            Destructive,
            "unknown-subresource",
        ),
        (
            with(restart("a"), |s| s.subresource = Some("scale".into())),
            Destructive,
            "unknown-subresource",
        ),
        (step(List, update, "", "Pod", "a"), Destructive, "mislabelled"),
        (
            with(restart("a"), |s| s.effect = Effect::Read),
            Destructive,
            "mislabelled",
        ),
        (
            with(restart("a"), |s| s.targets.clear()),
            Destructive,
            "no-target",
        ),
        (
            with(restart("a"), |s| {
                s.access = vec![Access {
                    verb: "patch".into(),
                    ..Access::default()
                }];
            }),
            Destructive,
            "no-right",
        ),
    ];
    for (step, level, rule) in cases {
        assert_eq!(floor_level(&step), level, "{rule}: {step:?}");
        assert!(ids(&step).contains(&rule), "{rule}: {:?}", ids(&step));
        let risk = judge(&plan(vec![step]));
        assert!(
            risk.level >= level && risk.score >= level.score_floor(),
            "{rule}: {risk:?}"
        );
        if level == Level::Destructive {
            let told = risk.factors.iter().find(|f| f.id == format!("floor-{rule}"));
            assert!(
                told.is_some_and(|f| f.weight == 0 && !f.evidence.is_empty()),
                "{rule}: {risk:?}"
            );
        }
    }
}

#[test]
fn changes_of_one_object_have_the_floor_that_the_catalogue_promises() {
    use Level::{Caution, Destructive};
    use kubechat_crds::intent::{Taint, TaintEffect};
    let update = Effect::Update;
    let deployment = |action| step(action, update, "apps", "Deployment", "a");
    let cron = |action| step(action, update, "batch", "CronJob", "a");
    let node = |action, effect: Option<TaintEffect>| {
        let mut step = step(action, update, "", "Node", "a");
        step.params.taints = vec![Taint {
            key: "k".into(),
            value: None,
            effect,
        }];
        step
    };
    let claim = step(Action::ExpandPvc, update, "", "PersistentVolumeClaim", "a");
    let mut silent = node(Action::Taint, None);
    silent.params.taints.clear();
    for (step, level, id) in [
        (deployment(Action::SetEnv), Caution, "set-env"),
        (deployment(Action::RolloutPause), Caution, "rollout-pause"),
        (deployment(Action::RolloutResume), Caution, "rollout-resume"),
        (cron(Action::Suspend), Caution, "suspend"),
        (cron(Action::Resume), Caution, "resume"),
        (autoscale(2, 2), Caution, "autoscale"),
        (deployment(Action::Patch), Destructive, "patch"),
        (deployment(Action::Apply), Destructive, "apply"),
        (applied("ConfigMap", "{}"), Caution, "create"),
        (
            applied("Service", r#"{"spec":{"externalIPs":["192.0.2.1"]}}"#),
            Destructive,
            "external-ips",
        ),
        (
            {
                let all = r#"{"spec":{"podSelector":{},"ingress":[{}]}}"#;
                let mut open = applied("NetworkPolicy", all);
                open.targets[0].group = "networking.k8s.io".into();
                open
            },
            Destructive,
            "opens-network",
        ),
        (
            {
                let mut inside = applied("ConfigMap", "{}");
                inside.targets[0].namespace = Some("kube-system".into());
                inside
            },
            Destructive,
            "system-change",
        ),
        (
            applied("ServiceAccount", r#"{"metadata":{"annotations":{"a":"b"}}}"#),
            Destructive,
            "account-annotations",
        ),
        (
            applied("Pod", r#"{"spec":{"hostPID":true}}"#),
            Destructive,
            "node-access",
        ),
        (
            applied("Pod", r#"{"spec":{"nodeName":"n"}}"#),
            Destructive,
            "pod-power",
        ),
        (applied("ReplicationController", "{}"), Destructive, "adopts-pods"),
        (claim, Caution, "expand-pvc"),
        (
            node(Action::Taint, Some(TaintEffect::NoSchedule)),
            Caution,
            "taint",
        ),
        (
            node(Action::Taint, Some(TaintEffect::NoExecute)),
            Destructive,
            "taint-no-execute",
        ),
        (node(Action::Taint, None), Destructive, "taint-no-execute"),
        (silent, Destructive, "taint-no-execute"),
        (
            node(Action::Untaint, Some(TaintEffect::NoExecute)),
            Caution,
            "untaint",
        ),
        (
            step(Action::Evict, Effect::Delete, "", "Pod", "a"),
            Destructive,
            "evict",
        ),
        (
            step(
                Action::CreateDeployment,
                Effect::Create,
                "apps",
                "Deployment",
                "a",
            ),
            Caution,
            "create",
        ),
        // What replaces the floor of one kind replaces no other's.
        (
            step(Action::ExpandPvc, update, "", "Secret", "a"),
            Destructive,
            "secret-change",
        ),
        (
            step(Action::Cordon, update, "", "Namespace", "a"),
            Destructive,
            "namespace-change",
        ),
    ] {
        assert_eq!(floor_level(&step), level, "{id}");
        assert!(ids(&step).contains(&id), "{id}: {:?}", ids(&step));
    }
}

#[test]
fn no_rule_is_without_a_case() {
    let source = include_str!("floors_tests.rs");
    for floor in floors::ALL {
        assert!(
            source.contains(&format!("\"{}\"", floor.id)),
            "{} is not tested",
            floor.id
        );
    }
}

#[test]
fn an_ordinary_scale_is_caution_and_far_from_destructive() {
    let risk = judge(&plan(vec![scale(Some(2), Some(5))]));
    assert_eq!((risk.level, risk.score), (Level::Caution, 28), "{risk:?}");
    let down = judge(&plan(vec![scale(Some(5), Some(2))]));
    assert_eq!((down.level, down.score), (Level::Caution, 43), "{down:?}");
}

#[test]
fn the_stricter_of_two_records_of_the_old_number_counts() {
    let mut lied = scale(Some(2), Some(5));
    lied.rollback.params = Some(kubechat_crds::intent::IntentParams {
        replicas: Some(9),
        ..Default::default()
    });
    assert!(ids(&lied).contains(&"scale-down"));
    let mut two = scale(Some(2), Some(5));
    two.targets.push(two.targets[0].clone());
    assert!(
        ids(&two).contains(&"scale-down"),
        "the second target's number is not known"
    );
}

#[test]
fn a_plan_that_takes_a_guard_away_and_uses_that_is_destructive_in_any_order() {
    let pdb = || delete("policy", "PodDisruptionBudget", "web");
    let mut elsewhere = restart("web");
    elsewhere.targets[0].namespace = Some("other".into());
    let webhook = || {
        let mut step = delete(
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration",
            "checks",
        );
        step.targets[0].namespace = None;
        step
    };
    let mut unguarded = step(Action::Annotate, Effect::Update, "apps", "Deployment", "web");
    unguarded.params.remove = vec!["policy.kruise.io/delete-protection".into()];
    let mut relabelled = step(Action::Label, Effect::Update, "", "Namespace", "demo");
    relabelled.params.remove = vec!["team".into()];
    let guards_used = [
        (vec![pdb(), restart("web")], true),
        (
            vec![
                delete("networking.k8s.io", "NetworkPolicy", "web"),
                restart("web"),
            ],
            true,
        ),
        (
            vec![delete("", "ResourceQuota", "web"), scale(Some(5), Some(2))],
            true,
        ),
        (vec![webhook(), elsewhere.clone()], true),
        (vec![unguarded, delete("apps", "Deployment", "web")], true),
        (vec![relabelled, restart("web")], true),
        // Whatever a manifest makes of a budget that is there: of the one it makes new, nothing was a guard yet.
        (vec![applied_budget(Effect::Update), restart("web")], true),
        (vec![applied_budget(Effect::Create), restart("web")], false),
        (vec![pdb(), elsewhere.clone()], false),
        (vec![pdb(), scale(Some(2), Some(5))], false),
        (vec![pdb(), delete("policy", "PodDisruptionBudget", "db")], false),
        (vec![pdb()], false),
        (vec![restart("web"), elsewhere], false),
    ];
    for (mut steps, expected) in guards_used {
        for _ in 0..2 {
            let risk = judge(&plan(steps.clone()));
            let told = risk.factors.iter().any(|f| f.id == "floor-guard-then-use");
            assert_eq!(told, expected, "{steps:?}");
            assert_eq!(weight(&risk, "guard-then-use"), if expected { 60 } else { 0 });
            assert!(!expected || risk.level == Level::Destructive);
            steps.reverse();
        }
    }
}

fn applied_budget(effect: Effect) -> Step {
    let mut step = step(Action::Apply, effect, "policy", "PodDisruptionBudget", "web");
    step.manifest = Some(r#"{"metadata":{"name":"web"},"spec":{"minAvailable":0}}"#.into());
    step
}

/// A new object of a manifest.
fn applied(kind: &str, manifest: &str) -> Step {
    let mut step = step(Action::Apply, Effect::Create, "", kind, "a");
    step.manifest = Some(manifest.into());
    step
}

#[test]
fn what_stops_pods_is_destructive_where_what_hangs_on_them_cannot_be_read() {
    let level = |step: Step, complete: bool, missing: &[&str]| {
        let mut plan = plan(vec![step]);
        plan.blast_radius = Some(kubechat_crds::command_plan::BlastRadius {
            complete,
            missing: missing.iter().map(|line| (*line).to_owned()).collect(),
            ..Default::default()
        });
        floors::of(&plan).contains_key("unseen")
    };
    let (down, up) = (|| scale(Some(10), Some(5)), || scale(Some(5), Some(10)));
    let pods = "pods in demo: the requester may not read them";
    let served = [
        "ingresses in demo: refused",
        "httproutes in demo: refused",
        "horizontalpodautoscalers in demo: refused",
    ];
    for (step, complete, missing, unseen) in [
        (down(), true, &[][..], false),
        (down(), false, &[pods], true),
        (
            down(),
            false,
            &["poddisruptionbudgets in demo: no answer within 2 s"],
            true,
        ),
        (
            down(),
            false,
            &["more than 6 steps away, or more than 5000 objects"],
            true,
        ),
        (down(), false, &["and 3 more"], true),
        (down(), false, &[], true),
        (down(), false, &served, false),
        (down(), false, &[served[0], pods], true),
        (restart("web"), false, &[pods], true),
        (up(), false, &[pods], false),
    ] {
        let text = format!("{:?} {complete} {missing:?}", step.action);
        assert_eq!(level(step, complete, missing), unseen, "{text}");
    }
}
