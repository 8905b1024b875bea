//! What the API server in memory makes of paths, headers and workloads.

use serde_json::{Value, json};

/// A path taken apart.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) collection: String,
    pub(crate) resource: String,
    pub(crate) name: Option<String>,
    pub(crate) sub: Option<String>,
}

pub(crate) fn place(path: &str) -> Place {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (head, rest) = parts.split_at(if parts[0] == "api" { 2 } else { 3 });
    let (spot, rest) = match rest {
        ["namespaces", _, resource, ..] if *resource != "status" => rest.split_at(2),
        _ => rest.split_at(0),
    };
    let mut collection: Vec<&str> = head.to_vec();
    collection.extend(spot);
    collection.push(rest[0]);
    Place {
        collection: format!("/{}", collection.join("/")),
        resource: rest[0].to_owned(),
        name: rest.get(1).map(|s| (*s).to_owned()),
        sub: rest.get(2).map(|s| (*s).to_owned()),
    }
}

/// SelfSubjectReview: the identity as the headers give it.
pub(crate) fn echo(headers: &http::HeaderMap) -> Value {
    let all = |name: &str| -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .map(|v| v.to_str().unwrap().to_owned())
            .collect()
    };
    let mut groups = all("impersonate-group");
    groups.push("system:authenticated".to_owned());
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
        "status": {"userInfo": {"username": all("impersonate-user").first(), "uid": all("impersonate-uid").first(), "groups": groups}}})
}

/// What the cluster's controllers make of a workload, at once: its rollout is finished.
pub(crate) fn controlled(object: &mut Value) {
    if object.get("kind").and_then(Value::as_str) != Some("Deployment") {
        return;
    }
    let replicas = object["spec"]["replicas"].clone();
    let generation = object["metadata"]["generation"].clone();
    for field in [
        "replicas",
        "updatedReplicas",
        "availableReplicas",
        "readyReplicas",
    ] {
        object["status"][field] = replicas.clone();
    }
    object["status"]["observedGeneration"] = generation;
}

/// What the server says of these kinds of its core group: plural, kind, short name.
pub(crate) fn discovered(kinds: &[(&str, &str, &str)]) -> Value {
    let verbs = ["get", "list", "watch", "create", "patch", "delete"];
    let resources: Vec<Value> = kinds
        .iter()
        .map(|(plural, kind, short)| {
            json!({"resource": plural, "responseKind": {"group": "", "version": "v1", "kind": kind}, "scope": "Namespaced",
                "singularResource": kind.to_lowercase(), "verbs": verbs, "shortNames": [short]})
        })
        .collect();
    let items = if kinds.is_empty() {
        json!([])
    } else {
        json!([{"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": resources}]}])
    };
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}
