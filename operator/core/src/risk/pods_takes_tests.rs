//! New objects whose pods go before others, or take what is not theirs.

use kubechat_crds::command_plan::DiffLine;
use serde_json::{Value, json};

use super::pods_tests::{everywhere, fired, made};

#[test]
fn pods_that_go_before_others_or_take_what_is_not_theirs_are_destructive() {
    let volume = |source: Value| {
        let mut volume = source;
        volume["name"] = "v".into();
        json!({"volumes": [volume]})
    };
    let claim = |spec: Value| volume(json!({"ephemeral": {"volumeClaimTemplate": {"spec": spec}}}));
    let token =
        |audience: Value| volume(json!({"projected": {"sources": [{"serviceAccountToken": audience}]}}));
    for (spec, expected) in [
        (json!({"priorityClassName": "system-node-critical"}), true),
        (json!({"priorityClassName": "high"}), true),
        (json!({"priorityClassName": ""}), false),
        (json!({"priority": 1000}), true),
        (json!({"priority": 0}), false),
        (json!({"runtimeClassName": "other"}), true),
        (
            json!({"securityContext": {"windowsOptions": {"gmsaCredentialSpecName": "admin"}}}),
            true,
        ),
        (
            volume(json!({"persistentVolumeClaim": {"claimName": "db"}})),
            true,
        ),
        (volume(json!({"nfs": {"server": "s", "path": "/"}})), true),
        (
            volume(json!({"awsElasticBlockStore": {"volumeID": "vol-1"}})),
            true,
        ),
        (volume(json!({"somethingNew": {}})), true),
        (claim(json!({"volumeName": "pv-1"})), true),
        (
            claim(json!({"dataSource": {"kind": "VolumeSnapshot", "name": "s"}})),
            true,
        ),
        (
            claim(json!({"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "s"}})),
            true,
        ),
        (claim(json!({"selector": {"matchLabels": {"of": "db"}}})), true),
        (
            claim(json!({"storageClassName": "fast", "volumeName": "", "dataSource": null, "selector": {}})),
            false,
        ),
        (
            volume(
                json!({"csi": {"driver": "nfs.csi.k8s.io", "volumeAttributes": {"server": "s", "share": "/"}}}),
            ),
            true,
        ),
        (
            volume(
                json!({"csi": {"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "a", "more": "b"}}}),
            ),
            true,
        ),
        (
            volume(
                json!({"csi": {"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "a"}}}),
            ),
            false,
        ),
        (
            volume(json!({"csi": {"driver": "csi.spiffe.io", "readOnly": true, "volumeAttributes": {}}})),
            false,
        ),
        (volume(json!({"emptyDir": {}, "hostPath": null})), false),
        (volume(json!({"configMap": {"name": "a"}})), false),
        (volume(json!({"secret": {"secretName": "a"}})), false),
        (token(json!({"audience": "sts.amazonaws.com", "path": "t"})), true),
        (token(json!({"expirationSeconds": 3607, "path": "token"})), false),
        (
            volume(json!({"projected": {"sources": [{"podCertificate": {"signerName": "a/b"}}]}})),
            true,
        ),
    ] {
        for step in everywhere(&json!({"spec": spec})) {
            assert_eq!(fired(&step), expected, "{:?}", step.manifest);
        }
    }
    for (metadata, expected) in [
        (json!({"annotations": {"iam.amazonaws.com/role": "admin"}}), true),
        (
            json!({"annotations": {"k8s.v1.cni.cncf.io/networks": "host"}}),
            true,
        ),
        (
            json!({"annotations": {"io.kubernetes.cri-o.Devices": "/dev/sda"}}),
            true,
        ),
        (json!({"labels": {"aadpodidbinding": "admin"}}), true),
        (
            json!({"annotations": {"prometheus.io/scrape": "true"}, "labels": {"app": "web"}}),
            false,
        ),
    ] {
        for step in everywhere(&json!({"metadata": metadata})) {
            assert_eq!(fired(&step), expected, "{:?}", step.manifest);
        }
    }
}

#[test]
fn claims_that_a_statefulset_makes_over_data_that_is_there_are_destructive_as_a_claim_is() {
    let of = |spec: &Value| json!({"spec": {"volumeClaimTemplates": [{"spec": {"storageClassName": "fast"}}, {"spec": spec}]}});
    for (spec, expected) in [
        (json!({"volumeName": "pv-1"}), true),
        (
            json!({"dataSource": {"kind": "VolumeSnapshot", "name": "s"}}),
            true,
        ),
        (
            json!({"dataSourceRef": {"kind": "VolumeSnapshot", "name": "s"}}),
            true,
        ),
        (
            json!({"selector": {"matchExpressions": [{"key": "of", "operator": "Exists"}]}}),
            true,
        ),
        (
            json!({"storageClassName": "slow", "accessModes": ["ReadWriteOnce"], "dataSource": {}}),
            false,
        ),
        (json!(null), false),
    ] {
        assert_eq!(
            fired(&made("apps", "StatefulSet", &of(&spec))),
            expected,
            "{spec}"
        );
        // Also where only what the API server made of it shows it.
        let mut shown = made("apps", "StatefulSet", &json!({"spec": {}}));
        shown.diff = vec![DiffLine {
            path: "/spec/volumeClaimTemplates".into(),
            after: Some(json!([{"spec": spec}]).to_string()),
            ..DiffLine::default()
        }];
        assert_eq!(fired(&shown), expected, "shown: {spec}");
    }
    // No other kind of Kubernetes' own makes claims.
    assert!(!fired(&made(
        "apps",
        "Deployment",
        &of(&json!({"volumeName": "pv-1"}))
    )));
}
