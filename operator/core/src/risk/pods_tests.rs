//! A new object by a manifest whose pods may do more than an ordinary pod.

use kubechat_crds::command_plan::DiffLine;
use kubechat_crds::intent::Action;
use serde_json::{Value, json};

use super::testing::step;
use super::*;

fn made(group: &str, kind: &str, manifest: &Value) -> Step {
    let mut made = step(Action::Apply, Effect::Create, group, kind, "web");
    made.manifest = Some(manifest.to_string());
    made
}

fn fired(step: &Step) -> bool {
    let plan = testing::plan(vec![step.clone()]);
    let told = judge(&plan).factors.iter().any(|f| f.id == "floor-pod-power");
    assert!(!told || floor_level(step) == Level::Destructive);
    told
}

/// A pod template in every kind that has one.
fn everywhere(template: &Value) -> Vec<Step> {
    let inside = json!({"spec": {"template": template}});
    let mut all = vec![
        made("", "Pod", template),
        made("batch", "CronJob", &json!({"spec": {"jobTemplate": inside}})),
    ];
    for (group, kind) in [
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"),
        ("", "ReplicationController"),
        ("batch", "Job"),
    ] {
        all.push(made(group, kind, &inside));
    }
    all
}

#[test]
fn pods_that_a_manifest_gives_more_than_an_ordinary_pod_has_are_destructive_in_every_kind() {
    let container = |inside: Value| json!({"containers": [inside]});
    let context = |inside: Value| container(json!({"securityContext": inside}));
    let ephemeral = json!({"ephemeralContainers": [{"securityContext": {"procMount": "Unmasked"}}]});
    for (spec, expected) in [
        (json!({"serviceAccountName": "deployer"}), true),
        (json!({"serviceAccount": "deployer"}), true),
        (json!({"serviceAccountName": "default"}), false),
        (json!({"serviceAccountName": ""}), false),
        (json!({"nodeName": "node-1"}), true),
        (
            container(json!({"ports": [{"containerPort": 80, "hostPort": 80}]})),
            true,
        ),
        (
            container(json!({"ports": [{"containerPort": 80, "hostPort": 0}]})),
            false,
        ),
        (
            json!({"volumes": [{"name": "v", "flexVolume": {"driver": "d"}}]}),
            true,
        ),
        (json!({"volumes": [{"name": "v", "flexVolume": {}}]}), true),
        (context(json!({"procMount": "Unmasked"})), true),
        (context(json!({"procMount": "Default"})), false),
        (ephemeral, true),
        (context(json!({"seccompProfile": {"type": "Unconfined"}})), true),
        (
            context(json!({"seccompProfile": {"type": "RuntimeDefault"}})),
            false,
        ),
        (
            json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
            true,
        ),
        (context(json!({"appArmorProfile": {"type": "Unconfined"}})), true),
        (
            json!({"securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "0"}]}}),
            true,
        ),
        (json!({"securityContext": {"sysctls": []}}), false),
        (context(json!({"windowsOptions": {"hostProcess": true}})), true),
        (context(json!({"windowsOptions": {"hostProcess": false}})), false),
        (context(json!({"seLinuxOptions": {"type": "spc_t"}})), true),
        (context(json!({"seLinuxOptions": {"user": "root"}})), true),
        (context(json!({"seLinuxOptions": {"type": "container_t"}})), false),
        (context(json!({"capabilities": {"add": ["NET_RAW"]}})), true),
        (
            context(json!({"capabilities": {"add": ["CHOWN"], "drop": ["NET_RAW"]}})),
            false,
        ),
        (
            container(json!({"livenessProbe": {"httpGet": {"host": "192.0.2.1", "port": 80}}})),
            true,
        ),
        (
            container(json!({"livenessProbe": {"httpGet": {"port": 80}}})),
            false,
        ),
        (container(json!({"name": "web", "image": "web:1"})), false),
    ] {
        for step in everywhere(&json!({"spec": spec})) {
            assert_eq!(fired(&step), expected, "{:?}", step.manifest);
        }
    }
    for (key, value, expected) in [
        ("seccomp.security.alpha.kubernetes.io/pod", "unconfined", true),
        (
            "container.seccomp.security.alpha.kubernetes.io/web",
            "unconfined",
            true,
        ),
        (
            "container.apparmor.security.beta.kubernetes.io/web",
            "unconfined",
            true,
        ),
        (
            "container.apparmor.security.beta.kubernetes.io/web",
            "runtime/default",
            false,
        ),
        ("example.io/profile", "unconfined", false),
    ] {
        for step in everywhere(&json!({"metadata": {"annotations": {key: value}}})) {
            assert_eq!(fired(&step), expected, "{:?}", step.manifest);
        }
    }
    // The same words in an object without pods say nothing of a pod.
    let words = json!({"data": {"nodeName": "a"}, "spec": {"nodeName": "a"}});
    assert!(!fired(&made("", "ConfigMap", &words)));
}

#[test]
fn what_the_api_server_adds_to_the_pods_of_a_manifest_counts_as_well() {
    let mut step = made("apps", "Deployment", &json!({"spec": {}}));
    step.diff = vec![DiffLine {
        path: "/spec/template/spec".into(),
        after: Some(r#"{"containers":[{"ports":[{"hostPort":80}]}]}"#.into()),
        ..DiffLine::default()
    }];
    assert!(fired(&step));
    step.diff[0].path = "/spec/template/spec/nodeName".into();
    step.diff[0].after = Some("node-1".into());
    assert!(fired(&step));
}

#[test]
fn a_controller_that_may_take_over_and_delete_pods_that_run_is_destructive() {
    use Level::{Caution, Destructive};
    let selector = json!({"spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}}});
    let manual = json!({"spec": {"manualSelector": true}});
    let nested = json!({"spec": {"jobTemplate": manual}});
    for (group, kind, manifest, level) in [
        ("apps", "ReplicaSet", &selector, Destructive),
        ("", "ReplicationController", &selector, Destructive),
        ("apps", "DaemonSet", &selector, Destructive),
        ("batch", "Job", &manual, Destructive),
        ("batch", "CronJob", &nested, Destructive),
        ("batch", "Job", &json!({"spec": {}}), Caution),
        ("batch", "CronJob", &json!({"spec": {}}), Caution),
        ("apps", "Deployment", &selector, Caution),
    ] {
        let step = made(group, kind, manifest);
        assert_eq!(floor_level(&step), level, "{kind} {manifest}");
        let told = judge(&testing::plan(vec![step]));
        let told = told.factors.iter().any(|f| f.id == "floor-adopts-pods");
        assert_eq!(told, level == Destructive, "{kind} {manifest}");
    }
    let mut long = made("batch", "Job", &json!({}));
    long.manifest_digest = Some("sha256:0".into());
    assert_eq!(floor_level(&long), Destructive, "a manifest nobody can read");
}

#[test]
fn annotations_of_a_new_account_service_or_ingress_give_power() {
    let noted = json!({"metadata": {"annotations": {"external-dns.alpha.kubernetes.io/hostname": "bank.example.com"}}});
    for (group, kind, expected) in [
        ("", "ServiceAccount", Level::Destructive),
        ("", "Service", Level::Destructive),
        ("networking.k8s.io", "Ingress", Level::Destructive),
        ("", "ConfigMap", Level::Caution),
    ] {
        assert_eq!(floor_level(&made(group, kind, &noted)), expected, "{kind}");
        assert_eq!(
            floor_level(&made(group, kind, &json!({}))),
            Level::Caution,
            "{kind}"
        );
    }
}
