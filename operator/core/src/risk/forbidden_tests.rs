//! What is installed is what must be forbidden: driven from the manifests, not from a list kept beside them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kubechat_crds::command_plan::RollbackKind;
use kubechat_crds::install::admission::{Installation, admission};
use kubechat_crds::install::{OWN_NAMESPACE, Options, crds, policies, rbac};
use kubechat_crds::intent::Action;
use serde_json::{Value, json};

use super::testing::{delete, guarded, plan, restart, scale, step};
use super::*;

/// Every object that installs KubeChat into this namespace.
fn installed(namespace: &str) -> Vec<Value> {
    let options = Options {
        namespace: namespace.to_owned(),
        ..Options::default()
    };
    let installation = Installation {
        namespace,
        ..Installation::default()
    };
    let definition = |crd: CustomResourceDefinition| {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
               "metadata": {"name": crd.metadata.name}})
    };
    let mut all = rbac::objects(&options);
    all.extend(admission(&installation));
    all.extend(policies::objects());
    all.extend(crds::crds().unwrap().into_iter().map(definition));
    all
}

/// The object as the target of a step that removes it.
fn removal(object: &Value) -> Step {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str);
    let (group, _) = text("/apiVersion").unwrap().split_once('/').unwrap_or_default();
    let mut step = delete(group, text("/kind").unwrap(), text("/metadata/name").unwrap());
    step.targets[0].namespace = text("/metadata/namespace").map(str::to_owned);
    step
}

#[test]
fn every_object_that_installs_kubechat_is_forbidden_as_a_target() {
    for own in [OWN_NAMESPACE, "chat"] {
        let all = installed(own);
        assert!(all.len() > 40, "{}", all.len());
        for object in &all {
            let mut changed = removal(object);
            assert!(
                check_forbidden(&changed, guarded(own)).is_err(),
                "removed: {object}"
            );
            changed.effect = Effect::Update;
            changed.action = Action::Annotate;
            assert!(
                check_forbidden(&changed, guarded(own)).is_err(),
                "changed: {object}"
            );
        }
    }
}

#[test]
fn what_only_sounds_like_kubechat_is_an_ordinary_target() {
    for (group, kind, name) in [
        ("", "ConfigMap", "own-writes.kubechat.io"),
        ("apps", "Deployment", "kubechat-demo"),
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicy",
            "own-writes.example.com",
        ),
    ] {
        let step = step(Action::Delete, Effect::Delete, group, kind, name);
        assert!(
            check_forbidden(&step, guarded(OWN_NAMESPACE)).is_ok(),
            "{group} {kind} {name}"
        );
    }
}

#[test]
fn the_namespace_an_installation_runs_in_is_the_guarded_one_and_no_other() {
    let secret = |namespace: &str| {
        let mut step = delete("", "Secret", "kubechat-seal");
        step.targets[0].namespace = Some(namespace.to_owned());
        step
    };
    assert!(check_forbidden(&secret("chat"), guarded("chat")).is_err());
    assert!(check_forbidden(&delete("", "Namespace", "chat"), guarded("chat")).is_err());
    assert!(check_forbidden(&secret("chat"), guarded(OWN_NAMESPACE)).is_ok());
    // The judgement of a plan looks at the namespace the plan records.
    let mut there = plan(vec![restart("web")]);
    there.steps[0].targets[0].namespace = Some("chat".into());
    let ordinary = judge(&there).score;
    there.facts.own_namespace = "chat".into();
    assert!(judge(&there).score > ordinary);
}

#[test]
fn the_namespace_of_the_keys_is_guarded_wherever_an_installation_keeps_them() {
    let kept = Guarded {
        own: OWN_NAMESPACE,
        credentials: "keys",
    };
    let secret = |namespace: &str, action, effect| {
        let mut step = step(action, effect, "", "Secret", "model");
        step.targets[0].namespace = Some(namespace.to_owned());
        step
    };
    for (namespace, forbidden) in [
        ("keys", true),
        ("kubechat-credentials", true),
        ("keys-2", false),
        ("demo", false),
    ] {
        for (action, effect) in [
            (Action::Delete, Effect::Delete),
            (Action::Annotate, Effect::Update),
            (Action::Patch, Effect::Update),
        ] {
            let refused = check_forbidden(&secret(namespace, action, effect), kept);
            assert_eq!(
                refused.map_err(|f| f.rule).err(),
                forbidden.then_some("own-guards"),
                "{action} in {namespace}"
            );
        }
        let mut plan = plan(vec![secret(namespace, Action::Annotate, Effect::Update)]);
        plan.facts.own_namespace = OWN_NAMESPACE.into();
        assert_eq!(check_plan(&plan, kept).is_err(), forbidden, "{namespace}");
        // So is a pod that would mount one of them, or a role there.
        let made = step(
            Action::CreateDeployment,
            Effect::Create,
            "apps",
            "Deployment",
            "web",
        );
        let mut there = made;
        there.targets[0].namespace = Some(namespace.to_owned());
        assert_eq!(check_forbidden(&there, kept).is_err(), forbidden, "{namespace}");
    }
    assert!(check_forbidden(&delete("", "Namespace", "keys"), kept).is_err());
    assert!(check_forbidden(&delete("", "Namespace", "keys"), guarded(OWN_NAMESPACE)).is_ok());
}

#[test]
fn a_plan_made_for_another_installation_is_refused() {
    let mut plan = plan(vec![restart("web")]);
    assert_eq!(check_plan(&plan, guarded(OWN_NAMESPACE)), Ok(()));
    for other in ["chat", ""] {
        let refused = check_plan(&plan, guarded(other)).unwrap_err();
        assert_eq!(refused.rule, "own-guards");
        assert!(refused.text.contains("kubechat-system"), "{refused}");
        plan.facts.own_namespace = "chat".into();
        assert!(check_plan(&plan, guarded(OWN_NAMESPACE)).is_err());
        plan.facts.own_namespace = OWN_NAMESPACE.into();
    }
    plan.steps.push(delete("kubechat.io", "Approval", "a"));
    assert_eq!(
        check_plan(&plan, guarded(OWN_NAMESPACE)).unwrap_err().rule,
        "own-objects"
    );
}

#[test]
fn a_role_that_grants_all_resources_or_cannot_be_read_grants_nodes_proxy() {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let written = |kind: &str, change: &dyn Fn(&mut Step)| {
        let mut role = step(Action::Recreate, Effect::Create, RBAC, kind, "r");
        change(&mut role);
        check_forbidden(&role, guarded(OWN_NAMESPACE)).map_err(|f| f.rule)
    };
    let rules = |kind: &str, groups: Value, resources: Value| {
        let rule = json!({"apiGroups": groups, "resources": resources, "verbs": ["get"]});
        let manifest = json!({"kind": kind, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}, rule]});
        written(kind, &|s| s.manifest = Some(manifest.to_string()))
    };
    let refused = Err("nodes-proxy");
    assert_eq!(rules("ClusterRole", json!([""]), json!(["*"])), refused);
    assert_eq!(rules("ClusterRole", json!(["*"]), json!(["*"])), refused);
    assert_eq!(
        rules("ClusterRole", json!(["apps", "*"]), json!(["pods", "*"])),
        refused
    );
    assert_eq!(rules("ClusterRole", json!(["apps"]), json!(["*"])), Ok(()));
    assert_eq!(rules("ClusterRole", json!(["*"]), json!(["deployments"])), Ok(()));
    assert_eq!(
        rules("Role", json!([""]), json!(["*"])),
        Ok(()),
        "nodes lie in no namespace"
    );
    assert_eq!(rules("Role", json!([""]), json!(["nodes/proxy"])), refused);
    let patched = |patch: Value| written("ClusterRole", &|s| s.patch = Some(patch.to_string()));
    assert_eq!(
        patched(json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]})),
        refused
    );
    assert_eq!(
        patched(json!([{"op": "add", "path": "/rules/0/resources/-", "value": "*"}])),
        refused
    );
    assert_eq!(
        patched(json!([{"op": "replace", "path": "/rules/0/resources", "value": ["*"]}])),
        refused
    );
    assert_eq!(
        patched(json!([{"op": "add", "path": "/rules/0/verbs/-", "value": "*"}])),
        Ok(())
    );
    assert_eq!(patched(json!({"metadata": {"labels": {"a": "*"}}})), Ok(()));
    let line = |path: &str, after: &str| {
        written("ClusterRole", &|s| {
            s.diff = vec![kubechat_crds::command_plan::DiffLine {
                path: path.into(),
                after: Some(after.into()),
                ..Default::default()
            }];
        })
    };
    assert_eq!(line("/rules/0/resources/0", "*"), refused);
    assert_eq!(line("/rules", "[{\"resources\":[\"*\"]}]"), refused);
    assert_eq!(line("/rules/0/verbs/0", "*"), Ok(()));
    // Where the whole manifest is there, it says more exactly what the line says.
    let beside = |groups: Value, resources: Value| {
        let rules = json!([{"apiGroups": groups, "resources": resources, "verbs": ["*"]}]);
        written("ClusterRole", &|s| {
            s.manifest = Some(json!({"kind": "ClusterRole", "rules": rules}).to_string());
            s.diff = vec![kubechat_crds::command_plan::DiffLine {
                path: "/rules".into(),
                after: Some(rules.to_string()),
                ..Default::default()
            }];
        })
    };
    assert_eq!(beside(json!([""]), json!(["pods"])), Ok(()));
    assert_eq!(beside(json!(["apps"]), json!(["*"])), Ok(()));
    assert_eq!(beside(json!(["", "apps"]), json!(["*"])), refused);
    assert_eq!(
        line("/rules", "[{\"apiGroups\":[\"apps\"],\"verbs\":[\"*\"]}]"),
        refused
    );
    for kind in ["Role", "ClusterRole"] {
        let long = |s: &mut Step| s.manifest_digest = Some("sha256:x".into());
        assert_eq!(written(kind, &long), refused, "{kind} too long to be read");
        let removed = |s: &mut Step| {
            long(s);
            s.effect = Effect::Delete;
        };
        assert_eq!(written(kind, &removed), Ok(()), "{kind} removed");
    }
    let unreadable = |s: &mut Step| s.manifest = Some("rules: [{resources: [\"*\"]}]".into());
    assert_eq!(written("ClusterRole", &unreadable), refused);
}

#[test]
fn an_eviction_in_a_system_namespace_is_no_deletion_and_a_deletion_dressed_up_as_one_is() {
    let eviction = |action, subresource: Option<&str>| {
        let mut step = step(action, Effect::Delete, "", "Pod", "coredns");
        step.targets[0].namespace = Some("kube-system".into());
        step.subresource = subresource.map(str::to_owned);
        step
    };
    let evicted =
        |action, subresource| check_forbidden(&eviction(action, subresource), guarded(OWN_NAMESPACE));
    assert!(evicted(Action::Evict, Some("eviction")).is_ok());
    // A pod that nothing replaces is deleted by its eviction.
    let mut alone = eviction(Action::Evict, Some("eviction"));
    alone.params.force = Some(true);
    assert!(check_forbidden(&alone, guarded(OWN_NAMESPACE)).is_err());
    for (action, subresource) in [
        (Action::Evict, None),
        (Action::Delete, Some("eviction")),
        (Action::Cordon, Some("eviction")),
    ] {
        assert!(evicted(action, subresource).is_err(), "{action} {subresource:?}");
    }
}

#[test]
fn a_deletion_that_nobody_may_do_is_no_undo() {
    let made = |namespace: &str, action| {
        let mut step = step(
            Action::CreateConfigMap,
            Effect::Create,
            "",
            "ConfigMap",
            "settings",
        );
        step.targets[0].namespace = Some(namespace.to_owned());
        step.rollback.kind = RollbackKind::Inverse;
        step.rollback.action = Some(action);
        step
    };
    for (namespace, promised) in [
        ("kube-system", false),
        ("kube-public", false),
        ("chat", false),
        ("demo", true),
    ] {
        let undo = forbidden_undo(&made(namespace, Action::Delete), guarded("chat"));
        assert_eq!(undo.is_none(), promised, "{namespace}");
    }
    // What is undone by no deletion may be undone.
    assert_eq!(
        forbidden_undo(&made("kube-system", Action::Label), guarded("chat")),
        None
    );
}

fn at(mut step: Step, namespace: Option<&str>) -> Step {
    step.targets[0].namespace = namespace.map(str::to_owned);
    step
}

#[test]
fn forbids_changes_of_kubechat_itself_of_the_control_plane_and_ways_around_all_guards() {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let label = |group, kind, name| step(Action::Label, Effect::Update, group, kind, name);
    let binding = |manifest: &str| {
        let mut made = step(Action::Recreate, Effect::Create, RBAC, "ClusterRoleBinding", "b");
        made.manifest = Some(manifest.into());
        made
    };
    let mut long = binding("{}");
    long.manifest_digest = Some("sha256:00".into());
    let mut patched = label(RBAC, "RoleBinding", "b");
    patched.patch = Some(r#"{"subjects":[{"kind":"Group","name":"system:masters"}]}"#.into());
    let mut role = step(Action::Recreate, Effect::Create, RBAC, "ClusterRole", "r");
    role.manifest =
        Some(r#"{"rules":[{"apiGroups":[""],"resources":["nodes/proxy"],"verbs":["get"]}]}"#.into());
    let mut proxy = label("", "Node", "n");
    proxy.subresource = Some("proxy".into());
    let mut disguised = delete("kubechat.io", "Approval", "a");
    disguised.effect = Effect::Read;
    let forbidden = [
        (label("kubechat.io", "RiskPolicy", "baseline"), "own-objects"),
        (delete("kubechat.io", "Approval", "a"), "own-objects"),
        (disguised, "own-objects"),
        (
            delete(
                "admissionregistration.k8s.io",
                "MutatingWebhookConfiguration",
                "kubechat",
            ),
            "own-guards",
        ),
        (
            label(
                "admissionregistration.k8s.io",
                "ValidatingAdmissionPolicy",
                "kubechat-approvers",
            ),
            "own-guards",
        ),
        (
            label(
                "apiextensions.k8s.io",
                "CustomResourceDefinition",
                "approvals.kubechat.io",
            ),
            "own-guards",
        ),
        (label(RBAC, "ClusterRole", "kubechat-operator"), "own-guards"),
        (
            label(RBAC, "ClusterRoleBinding", "kubechat-webhook"),
            "own-guards",
        ),
        (
            at(label("", "Secret", "kubechat-seal"), Some("kubechat-system")),
            "own-guards",
        ),
        (
            at(
                label("apps", "Deployment", "kubechat-webhook"),
                Some("kubechat-system"),
            ),
            "own-guards",
        ),
        (label("", "Namespace", "kubechat-system"), "own-guards"),
        (delete("", "Namespace", "kubechat-system"), "own-guards"),
        (
            at(delete("", "Pod", "dns"), Some("kube-system")),
            "system-namespace",
        ),
        (
            at(delete("", "ConfigMap", "cluster-info"), Some("kube-public")),
            "system-namespace",
        ),
        (delete("", "Namespace", "kube-system"), "system-namespace"),
        (
            binding(r#"{"subjects":[{"kind":"Group","name":"system:masters"}]}"#),
            "system-masters",
        ),
        (patched, "system-masters"),
        (long, "system-masters"),
        (role, "nodes-proxy"),
        (proxy, "nodes-proxy"),
    ];
    for (step, rule) in forbidden {
        let refused = check_forbidden(&step, guarded(OWN_NAMESPACE)).map_err(|f| f.rule);
        assert_eq!(refused, Err(rule), "{step:?}");
    }
    let allowed = [
        scale(Some(2), Some(5)),
        step(Action::List, Effect::Read, "kubechat.io", "CommandPlan", "p"),
        at(restart("coredns"), Some("kube-system")),
        binding(r#"{"subjects":[{"kind":"Group","name":"developers"}]}"#),
        label(RBAC, "ClusterRole", "team"),
        label("", "Node", "n"),
        label(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            "widgets.example.com",
        ),
    ];
    for step in allowed {
        assert!(check_forbidden(&step, guarded(OWN_NAMESPACE)).is_ok(), "{step:?}");
    }
}
