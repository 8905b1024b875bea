//! What GitOps tools make of KubeChat's objects: the health scripts that ship for Argo CD, run by a Lua like its own, and
//! kstatus, which Flux asks with `wait: true`. Real Flux sees real objects in the suite `gitops`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use kubechat_crds::install::crds::crds;
use mlua::{Lua, LuaSerdeExt as _, StdLib};
use serde::Deserialize;
use serde_json::{Value, json};

const GOLDEN: &str = include_str!("golden.yaml");
/// Everything Argo CD knows of health.
const HEALTHS: [&str; 6] = [
    "Healthy",
    "Progressing",
    "Degraded",
    "Suspended",
    "Missing",
    "Unknown",
];

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/argocd"))
}

fn script(kind: &str) -> String {
    let file = folder().join("health").join(format!("{kind}.lua"));
    std::fs::read_to_string(&file).unwrap_or_else(|reason| panic!("{}: {reason}", file.display()))
}

/// An object, and what is to be made of it.
#[derive(Deserialize)]
struct Golden {
    what: String,
    kinds: Vec<String>,
    metadata: Value,
    #[serde(default)]
    status: Value,
    argocd: String,
    kstatus: String,
    /// What Argo CD's message holds.
    #[serde(default)]
    says: String,
}

impl Golden {
    fn objects(&self) -> impl Iterator<Item = (&str, Value)> {
        self.kinds.iter().map(|kind| {
            let mut object = json!({
                "apiVersion": "kubechat.io/v1beta1", "kind": kind, "metadata": self.metadata, "spec": {},
            });
            if !self.status.is_null() {
                object["status"] = self.status.clone();
            }
            (kind.as_str(), object)
        })
    }
}

fn golden() -> Vec<Golden> {
    serde_saphyr::from_str(GOLDEN).unwrap()
}

/// Runs a script as Argo CD does: `obj` is the object, of libraries only base and table are there.
fn argocd(script: &str, object: &Value) -> (String, String) {
    let lua = Lua::new_with(StdLib::TABLE, Default::default()).unwrap();
    let object = lua.to_value(object).unwrap();
    lua.globals().set("obj", object).unwrap();
    let answer: mlua::Table = lua.load(script).eval().unwrap();
    (answer.get("status").unwrap(), answer.get("message").unwrap())
}

/// What kstatus (sigs.k8s.io/cli-utils/pkg/kstatus) says of an object of a kind it does not know.
fn kstatus(object: &Value) -> &'static str {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return "Terminating";
    }
    let observed = object.pointer("/status/observedGeneration");
    if observed.is_some() && observed != object.pointer("/metadata/generation") {
        return "InProgress";
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
    let status = |kind: &str| {
        conditions
            .iter()
            .find(|one| one["type"] == kind)
            .map(|one| one["status"].clone())
    };
    if status("Reconciling") == Some(json!("True")) {
        return "InProgress";
    }
    if status("Stalled") == Some(json!("True")) {
        return "Failed";
    }
    match status("Ready") {
        Some(ready) if ready != "True" => "InProgress",
        Some(_) | None => "Current",
    }
}

#[test]
fn argocd_and_kstatus_see_what_each_object_means() {
    for case in golden() {
        for (kind, object) in case.objects() {
            let (health, message) = argocd(&script(kind), &object);
            assert_eq!(health, case.argocd, "{kind}, {}: {message}", case.what);
            assert!(HEALTHS.contains(&health.as_str()), "{health}");
            assert!(message.contains(&case.says), "{kind}, {}: {message:?}", case.what);
            assert_eq!(kstatus(&object), case.kstatus, "{kind}, {}", case.what);
        }
    }
}

#[test]
fn no_object_however_odd_breaks_a_script() {
    let odd = [
        json!({"metadata": {}}),
        json!({"metadata": {"generation": 1}, "status": {}}),
        json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": []}}),
        json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": [{}]}}),
        json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": [
            {"type": "Ready", "status": "False"}, {"type": "Accepted", "status": "False"},
            {"type": "Succeeded", "status": "False"},
        ]}}),
    ];
    for kind in kinds() {
        for object in &odd {
            let (health, _) = argocd(&script(&kind), object);
            assert!(HEALTHS.contains(&health.as_str()), "{kind}: {health}: {object}");
        }
    }
}

fn kinds() -> BTreeSet<String> {
    crds()
        .unwrap()
        .into_iter()
        .map(|crd| crd.spec.names.kind)
        .collect()
}

#[test]
fn every_kind_has_a_script_a_case_and_a_place_in_argocds_configuration() {
    let text = std::fs::read_to_string(folder().join("argocd-cm.template.yaml")).unwrap();
    let map: Value = serde_saphyr::from_str(&text).unwrap();
    let data = map["data"].as_object().unwrap();
    for kind in kinds() {
        let key = format!("resource.customizations.health.kubechat.io_{kind}");
        let shipped = data.get(&key).and_then(Value::as_str);
        assert_eq!(
            shipped,
            Some(script(&kind).as_str()),
            "{kind} in argocd-cm.template.yaml"
        );
        let seen = golden().iter().filter(|case| case.kinds.contains(&kind)).count();
        assert!(seen >= 3, "{kind} stands in {seen} cases");
    }
    let health = data.keys().filter(|key| key.contains(".health."));
    assert_eq!(health.count(), kinds().len());
}
