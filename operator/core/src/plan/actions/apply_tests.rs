use kubechat_crds::Level;
use kubechat_crds::command_plan::{DiffLine, Effect, RollbackKind};
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use serde_json::{Value, json};

use super::changes_tests::{deployment, found, kind};
use super::{Beside, apply};
use crate::catalogue;
use crate::plan::{Draft, Found, Refusal, diff, draft_with};
use crate::risk::{Guarded, check_forbidden, floor_level};

const GUARDED: Guarded<'_> = Guarded {
    own: "kubechat-system",
    credentials: "kubechat-credentials",
};

fn intent(action: Action, params: IntentParams) -> Intent {
    Intent {
        action,
        target: IntentTarget::default(),
        params,
        confidence: 100,
        span: Span::default(),
    }
}

/// An apply of a manifest that names these fields to an object that would then be so.
pub(super) fn changed(found: &Found, manifest: &Value, after: &Value) -> Result<Draft, Refusal> {
    let mut manifest = manifest.clone();
    manifest["apiVersion"] = found.object["apiVersion"].clone();
    manifest["kind"] = found.object["kind"].clone();
    manifest["metadata"]["name"] = found.object["metadata"]["name"].clone();
    let intent = intent(Action::Apply, IntentParams::default());
    let mut draft = apply::change(&intent, found, &manifest, after, apply::given(after, None))?;
    draft.step.diff = diff::diff(0, Some(&found.object), Some(after));
    Ok(draft)
}

// Tables read better with values.
#[allow(clippy::needless_pass_by_value)]
fn made(group: &str, of: &str, manifest: Value, role: Option<&Value>) -> Draft {
    let mut manifest = manifest;
    manifest["apiVersion"] = if group.is_empty() {
        "v1".into()
    } else {
        format!("{group}/v1").into()
    };
    manifest["kind"] = of.into();
    manifest["metadata"]["name"] = "new".into();
    let kind = kind(group, "v1", of, &format!("{}s", of.to_lowercase()));
    let given = apply::given(&manifest, role);
    let mut draft = apply::create(&kind, Some("demo"), &manifest, given);
    draft.step.diff = diff::diff(0, None, Some(&manifest));
    draft
}

/// A new Deployment with this in its pod template.
// Tables read better with values.
#[allow(clippy::needless_pass_by_value)]
fn pods(spec: Value) -> Draft {
    made(
        "apps",
        "Deployment",
        json!({"spec": {"template": {"spec": spec}}}),
        None,
    )
}

fn weight(draft: &Draft) -> u8 {
    (catalogue::change(Action::Apply).unwrap().weight)(&draft.step).percent
}

#[test]
fn what_is_not_there_is_made_in_the_words_of_the_person_and_undone_by_its_deletion() {
    let draft = made("", "ConfigMap", json!({"data": {"k": "v"}}), None);
    assert_eq!(draft.step.effect, Effect::Create);
    assert_eq!(floor_level(&draft.step), Level::Caution);
    assert_eq!(draft.step.rollback.action, Some(Action::Delete));
    let manifest: Value = serde_json::from_str(draft.step.manifest.as_deref().unwrap()).unwrap();
    assert_eq!(manifest["data"], json!({"k": "v"}));
    assert_eq!(manifest["metadata"], json!({"name": "new", "namespace": "demo"}));
    assert!(draft.sidecars.is_empty());
}

#[test]
fn what_is_there_is_sent_the_manifest_and_undone_by_the_fields_before() {
    let web = deployment(None);
    let mut after = web.object.clone();
    after["spec"]["replicas"] = 5.into();
    after["metadata"]["labels"] = json!({"tier": "front"});
    after["metadata"]["resourceVersion"] = "9".into();
    after["metadata"]["annotations"] = json!({"kubechat.io/step-id": ""});
    after["status"] = json!({"replicas": 5});
    let manifest = json!({"metadata": {"labels": {"tier": "front"}}, "spec": {"replicas": 5}});
    let draft = changed(&web, &manifest, &after).unwrap();
    assert_eq!(draft.step.effect, Effect::Update);
    assert_eq!(
        (floor_level(&draft.step), weight(&draft)),
        (Level::Destructive, 40)
    );
    assert_eq!(draft.step.patch, None);
    let sent: Value = serde_json::from_str(draft.step.manifest.as_deref().unwrap()).unwrap();
    assert_eq!(sent["spec"], json!({"replicas": 5}));
    assert_eq!(sent["metadata"]["namespace"], "demo");
    let undo = draft.step.rollback.undo_of(0).unwrap().params.patch.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&undo).unwrap(),
        json!({"metadata": {"labels": {"tier": null}}, "spec": {"replicas": 2}})
    );
    let same = changed(&web, &manifest, &web.object);
    assert!(matches!(same, Err(Refusal::Nothing(_))), "{same:?}");
    // The mark alone is no change.
    let mut marked = web.object.clone();
    marked["metadata"]["annotations"] = json!({"kubechat.io/step-id": ""});
    assert!(matches!(
        changed(&web, &manifest, &marked),
        Err(Refusal::Nothing(_))
    ));
}

#[test]
fn values_of_the_environment_are_kept_beside_the_plan_and_put_back_from_there() {
    let web = deployment(Some(json!([{"name": "A", "value": "of-the-cluster"}])));
    let mut after = web.object.clone();
    after["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2".into();
    let container = json!({"name": "web", "image": "nginx:2"});
    let manifest = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    let draft = changed(&web, &manifest, &after).unwrap();
    let told = serde_json::to_string(&draft.step).unwrap();
    assert!(!told.contains("of-the-cluster"), "{told}");
    assert_eq!(draft.step.rollback.kind, RollbackKind::Inverse);
    let undo = draft.step.rollback.undo_of(0).unwrap();
    let kept = draft
        .sidecars
        .iter()
        .find(|s| Some(&s.digest) == undo.manifest_digest.as_ref());
    let kept: Value = serde_json::from_slice(&kept.unwrap().bytes).unwrap();
    assert!(kept.to_string().contains("of-the-cluster"));

    // Undone: the patch that is sent holds it, the plan does not.
    let there = Found {
        object: after,
        ..web.clone()
    };
    let beside = Beside {
        kept: Some(&kept),
        ..Beside::default()
    };
    let back = intent(Action::Patch, undo.params);
    let mut undone = draft_with(
        &back,
        std::slice::from_ref(&there),
        beside,
        jiff::Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    let undone = undone.remove(0);
    let told = serde_json::to_string(&undone.step).unwrap();
    assert!(!told.contains("of-the-cluster"), "{told}");
    assert_eq!(undone.step.patch, None);
    let sent = undone
        .sidecars
        .iter()
        .find(|s| Some(&s.digest) == undone.step.manifest_digest.as_ref());
    let sent = String::from_utf8(sent.unwrap().bytes.clone()).unwrap();
    assert!(
        sent.contains("of-the-cluster") && sent.contains("nginx:1"),
        "{sent}"
    );
}

#[test]
fn what_is_sent_is_bound_to_the_object_as_it_was_read_and_bears_the_mark() {
    let fresh = deployment(None).object;
    let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "annotations": {"a": "b"}}});
    let body = apply::body(&manifest.to_string(), &fresh, "id").unwrap();
    assert_eq!(
        body["metadata"],
        json!({"name": "web", "uid": "u", "resourceVersion": "7", "annotations": {"a": "b", "kubechat.io/step-id": "id"}})
    );
    for bad in ["no JSON", "7", "{}", r#"{"metadata":{"annotations":[]}}"#] {
        assert!(apply::body(bad, &fresh, "id").is_err(), "{bad}");
    }
}

#[test]
fn a_manifest_of_a_secret_or_with_fields_of_the_server_or_of_kubechat_is_refused() {
    let with = |field: &str, value: Value| {
        let mut manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        let (parent, last) = field.rsplit_once('/').unwrap();
        manifest.pointer_mut(parent).unwrap()[last] = value;
        manifest
    };
    assert!(apply::about(&with("/data", json!({"a": "b"}))).is_ok());
    assert!(apply::about(&with("/metadata/labels", json!({"example.io/a": "b"}))).is_ok());
    for bad in [
        with("/kind", "Secret".into()),
        with("/kind", "List".into()),
        with("/kind", Value::Null),
        with("/items", json!([])),
        with("/status", json!({"a": 1})),
        with("/metadata/name", Value::Null),
        with("/metadata/uid", "u".into()),
        with("/metadata/finalizers", json!([])),
        with("/metadata/ownerReferences", json!([])),
        with("/metadata/managedFields", json!([])),
        with("/metadata/generateName", "a-".into()),
        with("/metadata/annotations", json!({"kubechat.io/step-id": "x"})),
        with("/metadata/labels", json!({"kubechat.io/protected": "false"})),
        with("/metadata/labels", json!({"x.kubechat.io/protected": "false"})),
        with("/metadata/labels", json!(["a"])),
        with(
            "/metadata/annotations",
            json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"}),
        ),
        json!("text"),
        json!([]),
    ] {
        assert!(apply::about(&bad).is_err(), "{bad}");
    }
}

/// The rule that a new object of a kind has the floor and at least the weight of the change that makes such a thing.
#[test]
fn an_apply_is_never_cheaper_than_the_change_that_does_the_same() {
    let rbac = "rbac.authorization.k8s.io";
    let all = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    let reads = json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    let binding = |group: &str| json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "Group", "name": group}]});
    let mut spread = reads.clone();
    spread["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    for (draft, level, at_least) in [
        (made("", "ConfigMap", json!({}), None), Level::Caution, 15),
        (made("apps", "Deployment", json!({}), None), Level::Caution, 15),
        (
            made("networking.k8s.io", "NetworkPolicy", json!({}), None),
            Level::Caution,
            30,
        ),
        // How many replicas it leaves nobody knows.
        (
            made("autoscaling", "HorizontalPodAutoscaler", json!({}), None),
            Level::Destructive,
            50,
        ),
        (made(rbac, "Role", reads.clone(), None), Level::Destructive, 30),
        (
            made(rbac, "ClusterRole", all.clone(), None),
            Level::Destructive,
            80,
        ),
        (made(rbac, "ClusterRole", spread, None), Level::Destructive, 80),
        (
            made(rbac, "RoleBinding", binding("devs"), Some(&reads)),
            Level::Destructive,
            30,
        ),
        (
            made(rbac, "RoleBinding", binding("devs"), Some(&all)),
            Level::Destructive,
            80,
        ),
        (
            made(rbac, "RoleBinding", binding("devs"), None),
            Level::Destructive,
            80,
        ),
        (
            made(rbac, "RoleBinding", binding("system:authenticated"), Some(&reads)),
            Level::Destructive,
            80,
        ),
        (made("", "Namespace", json!({}), None), Level::Destructive, 15),
        (
            made("", "PersistentVolumeClaim", json!({}), None),
            Level::Destructive,
            15,
        ),
        (
            made(
                "apiextensions.k8s.io",
                "CustomResourceDefinition",
                json!({}),
                None,
            ),
            Level::Destructive,
            15,
        ),
        (
            made(
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration",
                json!({}),
                None,
            ),
            Level::Destructive,
            15,
        ),
        (made("example.io", "Odd", json!({}), None), Level::Destructive, 15),
        (
            made("", "Service", json!({"spec": {"externalIPs": []}}), None),
            Level::Caution,
            15,
        ),
        (
            made(
                "",
                "Service",
                json!({"spec": {"externalIPs": ["192.0.2.1"]}}),
                None,
            ),
            Level::Destructive,
            15,
        ),
        (made("", "ServiceAccount", json!({}), None), Level::Caution, 15),
        (
            made(
                "",
                "ServiceAccount",
                json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn"}}}),
                None,
            ),
            Level::Destructive,
            15,
        ),
        // Too long to stand in a plan: nobody who judges it sees whether it has any.
        (
            made(
                "",
                "ServiceAccount",
                json!({"imagePullSecrets": [{"name": "x".repeat(20_000)}]}),
                None,
            ),
            Level::Destructive,
            15,
        ),
        (pods(json!({})), Level::Caution, 15),
        (
            pods(json!({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]})),
            Level::Destructive,
            15,
        ),
        (pods(json!({"hostNetwork": true})), Level::Destructive, 15),
        (pods(json!({"hostPID": true})), Level::Destructive, 15),
        (
            pods(json!({"containers": [{"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]})),
            Level::Destructive,
            15,
        ),
        (
            pods(json!({"initContainers": [{"securityContext": {"privileged": true}}]})),
            Level::Destructive,
            15,
        ),
        (
            made(
                "",
                "ConfigMap",
                json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}),
                None,
            ),
            Level::Destructive,
            15,
        ),
    ] {
        let what = &draft.step.targets[0].kind;
        assert_eq!(floor_level(&draft.step), level, "{what}");
        assert!(weight(&draft) >= at_least, "{what}: {}", weight(&draft));
    }
    let web = deployment(None);
    let mut stopped = web.object.clone();
    stopped["spec"]["replicas"] = 0.into();
    let stop = changed(&web, &json!({"spec": {"replicas": 0}}), &stopped).unwrap();
    assert_eq!((floor_level(&stop.step), weight(&stop)), (Level::Destructive, 50));
    let node = found(kind("", "v1", "Node", "nodes"), "n", json!({}));
    let taint = json!({"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}});
    let mut tainted = node.object.clone();
    tainted["spec"] = taint["spec"].clone();
    let drive = changed(&node, &taint, &tainted).unwrap();
    assert_eq!(
        (floor_level(&drive.step), weight(&drive)),
        (Level::Destructive, 50)
    );
}

#[test]
fn what_nobody_gets_a_plan_for_is_no_more_allowed_by_a_manifest() {
    let rbac = "rbac.authorization.k8s.io";
    let masters = json!({"subjects": [{"kind": "Group", "name": "system:masters"}]});
    let proxy = json!({"rules": [{"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": ["get"]}]});
    for draft in [
        made("kubechat.io", "RiskPolicy", json!({}), None),
        made("kubechat.io", "Approval", json!({}), None),
        made(rbac, "RoleBinding", masters, None),
        made(rbac, "ClusterRole", proxy, None),
    ] {
        let what = &draft.step.targets[0].kind;
        assert!(check_forbidden(&draft.step, GUARDED).is_err(), "{what}");
    }
    let own = apply::create(
        &kind("", "v1", "ConfigMap", "configmaps"),
        Some("kubechat-system"),
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}),
        IntentParams::default(),
    );
    assert!(check_forbidden(&own.step, GUARDED).is_err());
}

#[test]
fn of_an_object_that_is_there_only_the_guards_that_change_are_told() {
    let mut guarded = deployment(None);
    guarded.object["metadata"]["labels"] = json!({"app.kubernetes.io/instance": "web", "team": "a"});
    let mut after = guarded.object.clone();
    after["metadata"]["labels"]["team"] = "b".into();
    let manifest = json!({"metadata": {"labels": {"app.kubernetes.io/instance": "web", "team": "b"}}});
    let told = |draft: &Draft| {
        let plan = crate::risk::testing::plan(vec![draft.step.clone()]);
        let risk = crate::risk::judge(&plan);
        risk.factors.iter().any(|f| f.id == "floor-guard-annotation")
    };
    let mut draft = changed(&guarded, &manifest, &after).unwrap();
    assert!(!told(&draft));
    draft.step.diff.push(DiffLine {
        path: "(1 more changed fields are not shown)".into(),
        ..DiffLine::default()
    });
    assert!(told(&draft), "what is not shown may be one");
    // What an earlier apply set and this manifest leaves out goes.
    after["metadata"]["labels"] = json!({"team": "b"});
    assert!(told(&changed(&guarded, &manifest, &after).unwrap()));
}
