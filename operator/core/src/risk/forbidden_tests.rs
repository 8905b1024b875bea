//! What is installed is what must be forbidden: driven from the manifests, not from a list kept beside them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kubechat_crds::install::admission::{Installation, admission};
use kubechat_crds::install::{Options, crds, policies, rbac};
use serde_json::{Value, json};

use super::testing::{delete, step};
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
    let all = installed("kubechat-system");
    assert!(all.len() > 40, "{}", all.len());
    for object in &all {
        let mut changed = removal(object);
        assert!(check_forbidden(&changed).is_err(), "removed: {object}");
        changed.effect = Effect::Update;
        changed.action = kubechat_crds::intent::Action::Annotate;
        assert!(check_forbidden(&changed).is_err(), "changed: {object}");
    }
}

#[test]
fn what_only_sounds_like_kubechat_is_an_ordinary_target() {
    for (group, kind, name) in [
        ("", "ConfigMap", "own-writes.kubechat.io"),
        ("apps", "Deployment", "kubechat-demo"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "own-writes.example.com"),
    ] {
        let step = step(kubechat_crds::intent::Action::Delete, Effect::Delete, group, kind, name);
        assert!(check_forbidden(&step).is_ok(), "{group} {kind} {name}");
    }
}
