//! A new object by a manifest whose pods may do more than an ordinary pod.

use kubechat_crds::command_plan::DiffLine;
use kubechat_crds::intent::Action;
use serde_json::{Value, json};

use super::testing::step;
use super::*;

pub(super) fn made(group: &str, kind: &str, manifest: &Value) -> Step {
    let mut made = step(Action::Apply, Effect::Create, group, kind, "web");
    made.manifest = Some(manifest.to_string());
    made
}

pub(super) fn fired(step: &Step) -> bool {
    let plan = testing::plan(vec![step.clone()]);
    let told = judge(&plan).factors.iter().any(|f| f.id == "floor-pod-power");
    assert!(!told || floor_level(step) == Level::Destructive);
    told
}

/// A pod template in every kind that has one.
pub(super) fn everywhere(template: &Value) -> Vec<Step> {
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
    // A Deployment and a StatefulSet by what there is; whoever makes them.
    for (action, kind) in [
        (Action::Apply, "Deployment"),
        (Action::CreateDeployment, "Deployment"),
        (Action::Apply, "StatefulSet"),
    ] {
        for taken in ["replicaset/old", "unreadable: pods"] {
            let mut step = made("apps", kind, &selector);
            step.action = action;
            assert_eq!(floor_level(&step), Caution, "{action} {kind}");
            step.adopts = vec![taken.to_owned()];
            let told = judge(&testing::plan(vec![step]));
            let rule = told.factors.iter().find(|f| f.id == "floor-adopts-pods");
            assert!(rule.is_some_and(|f| f.evidence == taken), "{told:?}");
            assert_eq!(told.level, Destructive);
        }
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

#[test]
fn pods_that_choose_a_node_or_the_nodes_of_the_control_plane_are_destructive() {
    let required = |of: &str, one: Value| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{of: [one]}]}}}})
    };
    let master = "node-role.kubernetes.io/master";
    for (spec, expected) in [
        (
            json!({"nodeSelector": {"node-role.kubernetes.io/control-plane": ""}}),
            true,
        ),
        (json!({"nodeSelector": {master: "true"}}), true),
        (json!({"nodeSelector": {"kubernetes.io/hostname": "a"}}), true),
        (json!({"nodeSelector": {"kubernetes.io/os": "linux"}}), false),
        (
            json!({"nodeSelector": {"node-role.kubernetes.io/worker": ""}}),
            false,
        ),
        (
            json!({"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}),
            true,
        ),
        (
            json!({"tolerations": [{"key": "node-role.kubernetes.io/etcd", "operator": "Exists"}]}),
            true,
        ),
        (json!({"tolerations": [{"operator": "Exists"}]}), true),
        (
            json!({"tolerations": [{"key": "", "operator": "Exists", "effect": "NoExecute"}]}),
            true,
        ),
        (
            json!({"tolerations": [{"key": "team", "operator": "Exists"}]}),
            false,
        ),
        (
            required("matchExpressions", json!({"key": master, "operator": "Exists"})),
            true,
        ),
        (
            required(
                "matchExpressions",
                json!({"key": "kubernetes.io/hostname", "operator": "In", "values": ["a"]}),
            ),
            true,
        ),
        (
            required(
                "matchFields",
                json!({"key": "metadata.name", "operator": "In", "values": ["a"]}),
            ),
            true,
        ),
        (
            json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
                [{"weight": 1, "preference": {"matchExpressions": [{"key": master, "operator": "Exists"}]}}]}}}),
            true,
        ),
        // Away from such nodes, and apart from each other.
        (
            required(
                "matchExpressions",
                json!({"key": master, "operator": "DoesNotExist"}),
            ),
            false,
        ),
        (
            required(
                "matchFields",
                json!({"key": "metadata.name", "operator": "NotIn", "values": ["a"]}),
            ),
            false,
        ),
        (
            json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}]}}}),
            false,
        ),
    ] {
        for step in everywhere(&json!({"spec": spec})) {
            assert_eq!(fired(&step), expected, "{:?}", step.manifest);
        }
    }
}

#[test]
fn of_a_kind_that_is_not_known_the_pods_are_found_wherever_it_has_containers() {
    let spec = json!({"containers": [{"name": "c", "ports": [{"hostPort": 80}]}]});
    let noted =
        json!({"metadata": {"annotations": {"iam.amazonaws.com/role": "a"}}, "spec": {"containers": []}});
    for (group, kind, object) in [
        ("", "PodTemplate", json!({"template": {"spec": spec}})),
        (
            "apps.kruise.io",
            "Deployment",
            json!({"spec": {"template": {"spec": spec}}}),
        ),
        (
            "x.io",
            "Farm",
            json!({"spec": {"workers": [{"podTemplate": {"spec": spec}}]}}),
        ),
        ("x.io", "Farm", json!({"spec": spec})),
        ("x.io", "Farm", json!({"spec": {"template": noted}})),
    ] {
        assert!(fired(&made(group, kind, &object)), "{kind} {object}");
    }
    let none = made("x.io", "Farm", &json!({"spec": {"hostPort": 80}}));
    assert!(!fired(&none) && floor_level(&none) == Level::Destructive);
}

/// What gives the pods of a spec more: of the pod, and of one of its containers.
fn pod_powers() -> Vec<Value> {
    vec![
        json!({"hostNetwork": true}),
        json!({"hostPID": true}),
        json!({"hostIPC": true}),
        json!({"nodeName": "n"}),
        json!({"priorityClassName": "system-cluster-critical"}),
        json!({"runtimeClassName": "r"}),
        json!({"serviceAccountName": "admin"}),
        json!({"nodeSelector": {"node-role.kubernetes.io/control-plane": ""}}),
        json!({"tolerations": [{"operator": "Exists"}]}),
        json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
        json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
        json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}),
        json!({"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}),
        json!({"volumes": [{"name": "c", "persistentVolumeClaim": {"claimName": "db"}}]}),
        json!({"volumes": [{"name": "n", "nfs": {"server": "s", "path": "/"}}]}),
        json!({"volumes": [{"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {"volumeName": "pv"}}}}]}),
        json!({"volumes": [{"name": "i", "csi": {"driver": "d", "volumeAttributes": {"share": "/"}}}]}),
    ]
}

fn container_powers() -> Vec<Value> {
    vec![
        json!({"securityContext": {"privileged": true}}),
        json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}),
        json!({"securityContext": {"capabilities": {"add": ["NET_RAW"]}}}),
        json!({"securityContext": {"procMount": "Unmasked"}}),
        json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
        json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}),
        json!({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}),
        json!({"ports": [{"containerPort": 80, "hostPort": 80}]}),
        json!({"livenessProbe": {"tcpSocket": {"host": "192.0.2.1", "port": 1}}}),
        json!({"lifecycle": {"preStop": {"httpGet": {"host": "192.0.2.1", "port": 1}}}}),
    ]
}

/// What an ordinary pod says of itself.
fn ordinary() -> Vec<Value> {
    vec![
        json!({"serviceAccountName": "default"}),
        json!({"nodeSelector": {"disk": "ssd"}}),
        json!({"securityContext": {"runAsNonRoot": true}}),
        json!({"securityContext": {"runAsUser": 0}}),
        json!({"volumes": [{"name": "e", "emptyDir": {}}]}),
        json!({"tolerations": [{"key": "team", "operator": "Exists"}]}),
        json!({"containers": [{"name": "side", "image": "side", "ports": [{"containerPort": 1}]}]}),
        json!({"initContainers": [{"name": "init", "image": "i:1", "securityContext": {"allowPrivilegeEscalation": true}}]}),
        json!({"dnsPolicy": "ClusterFirst", "restartPolicy": "Always"}),
    ]
}

/// Puts one into the other: lists grow.
fn put(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                put(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(more)) => into.extend(more.clone()),
        (into, more) => *into = more.clone(),
    }
}

proptest::proptest! {
    #[test]
    fn any_power_given_to_any_pods_makes_them_destructive_and_never_lowers_their_score(
        parts in proptest::sample::subsequence(ordinary(), 0..=9),
        power in proptest::sample::select([pod_powers(), container_powers()].concat()),
        list in proptest::sample::select(vec!["containers", "initContainers", "ephemeralContainers"]),
        kind in 0..8_usize,
    ) {
        let mut spec = json!({"containers": [{"name": "web", "image": "web:1"}]});
        parts.iter().for_each(|part| put(&mut spec, part));
        let before = judge(&testing::plan(vec![everywhere(&json!({"spec": spec})).remove(kind)]));
        let more = if container_powers().contains(&power) { json!({list: [power]}) } else { power };
        put(&mut spec, &more);
        let step = everywhere(&json!({"spec": spec})).remove(kind);
        let after = judge(&testing::plan(vec![step.clone()]));
        proptest::prop_assert_eq!(floor_level(&step), Level::Destructive);
        proptest::prop_assert!(after.level >= before.level && after.score >= before.score, "{:?}\n{:?}", before, after);
        let told = |id: &str| after.factors.iter().any(|f| f.id == id);
        proptest::prop_assert!(told("floor-pod-power") || told("floor-node-access"), "{:?}", after);
    }
}
