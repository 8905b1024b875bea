//! Admission objects that would judge KubeChat's own objects.

use std::collections::BTreeSet;

use kubechat_crds::command_plan::{DiffLine, Undo};
use kubechat_crds::intent::Action;
use serde_json::{Value, json};

use super::testing::{delete, guarded, step};
use super::*;

const REFUSED: Result<(), &str> = Err("own-admission");
const KINDS: &[&str] = &[
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
];

fn of(action: Action, effect: Effect, kind: &str) -> Step {
    let mut step = step(action, effect, admission::ADMISSION, kind, "wide");
    step.targets[0].namespace = None;
    step
}

fn judged(step: &Step) -> Result<(), &'static str> {
    check_forbidden(step, guarded("kubechat-system")).map_err(|f| f.rule)
}

/// The manifest of a kind with one rule.
fn object(kind: &str, rule: &Value) -> Value {
    match kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            json!({"webhooks": [{"name": "a.x.io", "rules": [rule]}]})
        }
        "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" => {
            json!({"spec": {"matchConstraints": {"resourceRules": [rule]}}})
        }
        _ => json!({"spec": {"policyName": "p", "matchResources": {"resourceRules": [rule]}}}),
    }
}

fn rule(groups: &[&str], resources: &[&str]) -> Value {
    json!({"apiGroups": groups, "apiVersions": ["*"], "operations": ["*"], "resources": resources})
}

#[test]
fn an_admission_object_with_a_rule_for_kubechat_is_forbidden_by_name_and_by_star() {
    for kind in KINDS {
        for (groups, resources, expected) in [
            (&["kubechat.io"][..], &["approvals"][..], REFUSED),
            (&["apps", "kubechat.io"], &["*"], REFUSED),
            (&["*"], &["*"], REFUSED),
            (&["*"], &["*/*"], REFUSED),
            (&["*"], &["*/status"], REFUSED),
            (&["*"], &["pods", "commandplans/status"], REFUSED),
            (&["*"], &["riskpolicies"], REFUSED),
            (&["*"], &["deployments", "pods/exec"], Ok(())),
            (&["apps", ""], &["*"], Ok(())),
            (&["notkubechat.io"], &["*"], Ok(())),
        ] {
            let manifest = object(kind, &rule(groups, resources));
            let mut made = of(Action::Apply, Effect::Create, kind);
            made.manifest = Some(manifest.to_string());
            assert_eq!(judged(&made), expected, "{kind} {groups:?} {resources:?}");
            assert_eq!(floor_level(&made), Level::Destructive);
            made.effect = Effect::Update;
            assert_eq!(
                judged(&made),
                expected,
                "changed: {kind} {groups:?} {resources:?}"
            );
            let mut patched = of(Action::Patch, Effect::Update, kind);
            patched.patch = Some(manifest.to_string());
            assert_eq!(
                judged(&patched),
                expected,
                "patched: {kind} {groups:?} {resources:?}"
            );
        }
        // What narrows it is not counted on.
        let mut narrowed = object(kind, &rule(&["*"], &["*"]));
        if let Some(webhook) = narrowed.pointer_mut("/webhooks/0") {
            webhook["namespaceSelector"] = json!({"matchLabels": {"a": "b"}});
        }
        narrowed["spec"]["matchConstraints"]["excludeResourceRules"] =
            json!([rule(&["kubechat.io"], &["*"])]);
        let mut made = of(Action::Apply, Effect::Create, kind);
        made.manifest = Some(narrowed.to_string());
        assert_eq!(judged(&made), REFUSED, "{kind}");
        // To leave KubeChat out of a narrow rule is no rule for it.
        let mut spared = object(kind, &rule(&["apps"], &["*"]));
        spared["spec"]["matchConstraints"]["excludeResourceRules"] = json!([rule(&["kubechat.io"], &["*"])]);
        made.manifest = Some(spared.to_string());
        assert_eq!(judged(&made), Ok(()), "{kind}");
        made.manifest_digest = Some("sha256:0".into());
        assert_eq!(judged(&made), REFUSED, "{kind} that nobody can read");
        assert_eq!(
            judged(&of(Action::Delete, Effect::Delete, kind)),
            Ok(()),
            "{kind}"
        );
        let mut labelled = of(Action::Label, Effect::Update, kind);
        labelled.patch = Some(r#"{"metadata":{"labels":{"team":"*"}}}"#.into());
        assert_eq!(judged(&labelled), Ok(()), "{kind}");
    }
}

#[test]
fn a_binding_that_names_no_groups_lets_its_policy_judge_whatever_it_is_for() {
    let narrow = json!([rule(&["apps"], &["*"])]);
    for kind in KINDS.iter().filter(|kind| kind.ends_with("PolicyBinding")) {
        for (spec, expected) in [
            (json!({"policyName": "p"}), REFUSED),
            (json!({"policyName": "p", "matchResources": null}), REFUSED),
            (json!({"policyName": "p", "matchResources": {}}), REFUSED),
            (
                json!({"policyName": "p", "matchResources": {"resourceRules": []}}),
                REFUSED,
            ),
            (
                json!({"policyName": "p", "matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}),
                REFUSED,
            ),
            (
                json!({"policyName": "p", "matchResources": {"resourceRules": narrow}}),
                Ok(()),
            ),
        ] {
            for effect in [Effect::Create, Effect::Update] {
                let mut made = of(Action::Apply, effect, kind);
                made.manifest = Some(json!({"spec": spec}).to_string());
                assert_eq!(judged(&made), expected, "{effect:?} {kind} {spec}");
            }
            let mut patched = of(Action::Patch, Effect::Update, kind);
            patched.patch = Some(json!({"spec": spec}).to_string());
            assert_eq!(judged(&patched), expected, "patched: {kind} {spec}");
        }
        for (patch, expected) in [
            (
                json!({"spec": {"matchResources": {"resourceRules": null}}}),
                REFUSED,
            ),
            (json!({"spec": null}), REFUSED),
            (
                json!({"spec": {"matchResources": {"namespaceSelector": null}}}),
                Ok(()),
            ),
            (json!({"spec": {"validationActions": ["Warn"]}}), Ok(())),
            (json!({"metadata": {"labels": {"a": "b"}}}), Ok(())),
            (
                json!([{"op": "replace", "path": "/spec/policyName", "value": "q"}]),
                REFUSED,
            ),
            (json!([{"op": "remove", "path": "/spec/matchResources"}]), REFUSED),
            (
                json!([{"op": "remove", "path": "/spec/matchResources/resourceRules/0"}]),
                REFUSED,
            ),
            (
                json!([{"op": "replace", "path": "/spec/matchResources/resourceRules", "value": []}]),
                REFUSED,
            ),
            (
                json!([{"op": "replace", "path": "/spec/matchResources/resourceRules", "value": narrow}]),
                Ok(()),
            ),
            (
                json!([{"op": "remove", "path": "/spec/matchResources/namespaceSelector"}]),
                Ok(()),
            ),
            (
                json!([{"op": "replace", "path": "/spec/matchResources", "value": {"namespaceSelector": {}}}]),
                REFUSED,
            ),
            (
                json!([{"op": "add", "path": "/spec/matchResources", "value": {"resourceRules": narrow}}]),
                Ok(()),
            ),
            (json!([{"op": "remove", "path": "/spec"}]), REFUSED),
            (
                json!([{"op": "replace", "path": "", "value": {"spec": {"policyName": "q"}}}]),
                REFUSED,
            ),
        ] {
            let mut patched = of(Action::Patch, Effect::Update, kind);
            patched.patch = Some(patch.to_string());
            assert_eq!(judged(&patched), expected, "{kind} {patch}");
        }
        // What an apply leaves out that an earlier one set goes: only the diff says so.
        for (path, before, after, expected) in [
            ("/spec/matchResources", Some("{}"), None, REFUSED),
            ("/spec/matchResources/resourceRules", Some("[{}]"), None, REFUSED),
            (
                "/spec/matchResources/resourceRules",
                Some("[{}]"),
                Some("[]"),
                REFUSED,
            ),
            (
                "/spec/matchResources/resourceRules/0/apiGroups/0",
                Some("apps"),
                Some("batch"),
                Ok(()),
            ),
            ("/spec/policyName", Some("p"), Some("q"), REFUSED),
            ("/spec/policyName", None, Some("q"), Ok(())),
            ("/metadata/labels/a", None, Some("b"), Ok(())),
        ] {
            let mut applied = of(Action::Apply, Effect::Update, kind);
            applied.manifest = Some(json!({"metadata": {"name": "wide"}}).to_string());
            applied.diff = vec![DiffLine {
                target: 0,
                path: path.into(),
                before: before.map(str::to_owned),
                after: after.map(str::to_owned),
            }];
            assert_eq!(judged(&applied), expected, "{kind} {path} {after:?}");
        }
    }
}

#[test]
fn a_patch_or_a_diff_that_reaches_into_a_rule_is_read_strictly() {
    let patched = |operations: Value| {
        let mut step = of(Action::Patch, Effect::Update, KINDS[0]);
        step.patch = Some(operations.to_string());
        judged(&step)
    };
    let rules = "/webhooks/0/rules";
    for (operations, expected) in [
        (
            json!([{"op": "add", "path": format!("{rules}/0/apiGroups/-"), "value": "kubechat.io"}]),
            REFUSED,
        ),
        (
            json!([{"op": "replace", "path": format!("{rules}/0/apiGroups"), "value": ["*"]}]),
            REFUSED,
        ),
        (
            json!([{"op": "add", "path": format!("{rules}/0/resources/-"), "value": "*"}]),
            REFUSED,
        ),
        (
            json!([{"op": "add", "path": format!("{rules}/-"), "value": rule(&["*"], &["*"])}]),
            REFUSED,
        ),
        (
            json!([{"op": "copy", "path": rules, "from": "/webhooks/1/rules"}]),
            REFUSED,
        ),
        (json!([{"op": "add"}]), REFUSED),
        (
            json!([{"op": "remove", "path": "/spec/matchConstraints/excludeResourceRules"}]),
            REFUSED,
        ),
        (
            json!([{"op": "test", "path": format!("{rules}/0/resources/0"), "value": "*"}]),
            Ok(()),
        ),
        (
            json!([{"op": "add", "path": format!("{rules}/0/resources/-"), "value": "jobs"}]),
            Ok(()),
        ),
        (
            json!([{"op": "add", "path": format!("{rules}/-"), "value": rule(&["apps"], &["*"])}]),
            Ok(()),
        ),
        (
            json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]),
            Ok(()),
        ),
    ] {
        assert_eq!(patched(operations.clone()), expected, "{operations}");
    }
    let mut unreadable = of(Action::Patch, Effect::Update, KINDS[0]);
    unreadable.patch = Some("no JSON".into());
    assert_eq!(judged(&unreadable), REFUSED);
    for (path, before, after, expected) in [
        (
            "/webhooks/0/rules/0/apiGroups/0",
            Some("apps"),
            Some("*"),
            REFUSED,
        ),
        (
            "/webhooks/0/rules/0/resources/0",
            Some("jobs"),
            Some("*"),
            REFUSED,
        ),
        (
            "/webhooks/0/rules",
            None,
            Some(r#"[{"apiGroups":["kubechat.io"]}]"#),
            REFUSED,
        ),
        ("(7 more changed fields are not shown)", None, None, REFUSED),
        (
            "/spec/matchConstraints/excludeResourceRules/0/apiGroups/0",
            Some("kubechat.io"),
            Some("apps"),
            REFUSED,
        ),
        ("/webhooks/0/rules/0/resources/0", Some("*"), Some("jobs"), Ok(())),
        ("/webhooks/0/timeoutSeconds", Some("5"), Some("9"), Ok(())),
    ] {
        let mut step = of(Action::Patch, Effect::Update, KINDS[0]);
        step.diff = vec![DiffLine {
            target: 0,
            path: path.into(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }];
        assert_eq!(judged(&step), expected, "{path}");
    }
}

#[test]
fn the_kinds_a_rule_for_all_groups_may_name_are_those_that_are_installed() {
    let installed = kubechat_crds::install::crds::crds().unwrap().into_iter();
    let plurals: BTreeSet<String> = installed.map(|crd| crd.spec.names.plural).collect();
    let own: BTreeSet<String> = admission::OWN.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(own, plurals);
}

#[test]
fn definitions_and_api_services_of_kubechats_group_are_forbidden_however_they_come() {
    for (group, kind, name) in [
        (
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            "backdoors.kubechat.io",
        ),
        ("apiregistration.k8s.io", "APIService", "v1beta1.kubechat.io"),
        ("apiregistration.k8s.io", "APIService", "v9.kubechat.io"),
    ] {
        for (action, effect) in [
            (Action::Apply, Effect::Create),
            (Action::Apply, Effect::Update),
            (Action::Patch, Effect::Update),
            (Action::Delete, Effect::Delete),
        ] {
            let step = step(action, effect, group, kind, name);
            assert_eq!(judged(&step), Err("own-guards"), "{action} {kind} {name}");
        }
    }
}

#[test]
fn what_was_deleted_and_nobody_may_make_again_is_no_undo() {
    let removed = |kind: &str, group: &str, manifest: &Value| {
        let mut step = delete(group, kind, "wide");
        step.rollback.undo = vec![Undo {
            manifest: Some(manifest.to_string()),
            ..Undo::default()
        }];
        forbidden_undo(&step, guarded("kubechat-system")).map(|f| f.rule)
    };
    let wide = object(KINDS[0], &rule(&["*"], &["*"]));
    let narrow = object(KINDS[0], &rule(&["apps"], &["*"]));
    assert_eq!(
        removed(KINDS[0], admission::ADMISSION, &wide),
        Some("own-admission")
    );
    assert_eq!(removed(KINDS[0], admission::ADMISSION, &narrow), None);
    let role = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    let rbac = "rbac.authorization.k8s.io";
    assert_eq!(removed("ClusterRole", rbac, &role), Some("nodes-proxy"));
    assert_eq!(removed("ConfigMap", "", &json!({"data": {}})), None);
}
