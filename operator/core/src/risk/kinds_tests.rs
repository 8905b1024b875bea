use kubechat_crds::command_plan::Effect;
use kubechat_crds::intent::Action;
use kubechat_crds::{Level, Step};

use super::judge;
use super::kinds::guard_keys;
use super::testing::{delete, plan, restart, step, weight};

/// A patch of Deployment web, or of a namespace.
fn patch(kind: &str, name: &str, text: &str) -> Step {
    let group = if kind == "Namespace" { "" } else { "apps" };
    let mut step = step(Action::Patch, Effect::Update, group, kind, name);
    step.patch = Some(text.to_owned());
    step
}

/// Patches that take the guard of an object away, or may.
const TAKES: &[&str] = &[
    r#"{"metadata":{"annotations":{"policy.kruise.io/delete-protection":null}}}"#,
    r#"{"metadata":{"labels":{"policy.kruise.io/delete-protection":"Never"},"annotations":{"a":"b"}}}"#,
    r#"{"metadata":{"labels":null}}"#,
    r#"{"metadata":{"annotations":[]}}"#,
    r#"{"metadata":null}"#,
    r#"[{"op":"remove","path":"/metadata/labels/policy.kruise.io~1delete-protection"}]"#,
    r#"[{"op":"add","path":"/spec/a","value":1},{"op":"replace","path":"/metadata/annotations/argocd.argoproj.io~1sync-options","value":"x"}]"#,
    r#"[{"op":"move","from":"/metadata/annotations/helm.sh~1hook","path":"/metadata/annotations/x"}]"#,
    r#"[{"op":"remove","path":"x/metadata/labels/policy.kruise.io~1delete-protection"}]"#,
    r#"[{"op":"replace","path":"/metadata/labels","value":{}}]"#,
    r#"[{"op":"replace","path":"/metadata","value":{}}]"#,
    r#"[{"op":"replace","path":"","value":{}}]"#,
    r#"[{"op":"remove"}]"#,
    "no JSON",
    "7",
];

/// Patches that leave every guard where it is.
const LEAVES: &[&str] = &[
    r#"{"spec":{"minReadySeconds":5}}"#,
    r#"{"metadata":{"labels":{"team":"core"}}}"#,
    r#"{"spec":{"template":{"metadata":{"labels":{"policy.kruise.io/x":"y"}}}}}"#,
    r#"[{"op":"test","path":"/metadata/labels/policy.kruise.io~1delete-protection","value":"Always"}]"#,
    r#"[{"op":"add","path":"/metadata/labels/team","value":"core"}]"#,
];

#[test]
fn a_patch_of_a_guarding_key_is_told_like_its_label_or_annotation() {
    for (texts, guards) in [(TAKES, true), (LEAVES, false)] {
        for text in texts {
            let step = patch("Deployment", "web", text);
            assert_eq!(!guard_keys(&step).is_empty(), guards, "{text}");
            let risk = judge(&plan(vec![step]));
            let told = risk.factors.iter().any(|f| f.id == "floor-guard-annotation");
            assert_eq!(told, guards, "{text}: {risk:?}");
        }
    }
    let bare = step(Action::Patch, Effect::Update, "apps", "Deployment", "web");
    assert!(!guard_keys(&bare).is_empty(), "what is not there cannot be read");
}

#[test]
fn a_patch_that_takes_a_guard_away_and_what_that_guarded_are_told_together() {
    let uses = || delete("apps", "Deployment", "web");
    for (texts, guards) in [(TAKES, true), (LEAVES, false)] {
        for text in texts {
            let mut steps = vec![patch("Deployment", "web", text), uses()];
            for _ in 0..2 {
                let risk = judge(&plan(steps.clone()));
                assert_eq!(weight(&risk, "guard-then-use") > 0, guards, "{text}");
                steps.reverse();
            }
        }
    }
    // Whatever of a namespace a patch changes: its labels are read by policies and by admission.
    let namespace = patch("Namespace", "demo", r#"{"metadata":{"labels":{"team":null}}}"#);
    let risk = judge(&plan(vec![namespace, restart("web")]));
    assert_eq!(weight(&risk, "guard-then-use"), 60);
}

#[test]
fn whatever_is_changed_of_a_node_a_namespace_a_secret_or_storage_is_destructive_and_so_is_every_removal() {
    const STORAGE: &str = "storage.k8s.io";
    const NETWORK: &str = "networking.k8s.io";
    let update = Effect::Update;
    for (action, effect, group, kind, floor) in [
        (Action::Label, update, "", "Node", "node-change"),
        (Action::Annotate, update, "", "Node", "node-change"),
        (Action::Patch, update, "", "Node", "node-change"),
        (Action::Label, update, "", "Namespace", "namespace-change"),
        (Action::Patch, update, "", "Namespace", "namespace-change"),
        (Action::Annotate, update, "", "Secret", "secret-change"),
        (Action::Patch, update, "", "Secret", "secret-change"),
        (
            Action::Annotate,
            update,
            "",
            "PersistentVolumeClaim",
            "storage-change",
        ),
        (
            Action::Annotate,
            update,
            STORAGE,
            "StorageClass",
            "storage-change",
        ),
        (Action::Delete, Effect::Delete, NETWORK, "NetworkPolicy", "delete"),
        (Action::Delete, Effect::Delete, "", "PersistentVolume", "delete"),
        (Action::Delete, Effect::Delete, "", "Pod", "delete"),
        (Action::Evict, Effect::Delete, "", "Pod", "evict"),
    ] {
        let risk = judge(&plan(vec![step(action, effect, group, kind, "web")]));
        assert_eq!(risk.level, Level::Destructive, "{action:?} {kind}");
        let told = risk.factors.iter().any(|f| f.id == format!("floor-{floor}"));
        assert!(told, "{action:?} {kind}: {risk:?}");
    }
}
