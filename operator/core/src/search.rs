//! What is looked for among objects: an image, an owner, a text. Values of Secrets and of the environment are masked before
//! anything is looked at, so that nobody finds them out by asking.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::plan::object;

/// Places of one object that are told.
const MAX_PLACES: usize = 3;
/// Owners of owners that are followed.
const MAX_DEPTH: usize = 16;

/// Where an object runs an image, as `container: image`.
#[must_use]
pub fn images(found: &Value, wanted: &str) -> Vec<String> {
    let kind = found.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some(spec) = object::pod_spec_pointer(kind).and_then(|at| found.pointer(at)) else {
        return vec![];
    };
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists
        .iter()
        .filter_map(|list| spec.get(*list)?.as_array())
        .flatten();
    let text = |c: &Value, key: &str| c.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    containers
        .filter(|c| is_image(&text(c, "image"), wanted))
        .map(|c| format!("{}: {}", text(c, "name"), text(c, "image")))
        .take(MAX_PLACES)
        .collect()
}

/// Whether an image is the one meant: `nginx` is every tag of it, wherever it comes from; `nginx:1.28` that tag only.
#[must_use]
pub fn is_image(image: &str, wanted: &str) -> bool {
    let whole = |image: &str| image == wanted || image.ends_with(&format!("/{wanted}"));
    let last = image.rfind('/').map_or(0, |at| at + 1);
    let tag = image
        .get(last..)
        .and_then(|name| name.find(['@', ':']))
        .map(|at| last + at);
    let repository = tag.and_then(|at| image.get(..at)).unwrap_or(image);
    // A digest may follow the tag.
    let tagged = image.split('@').next().unwrap_or(image);
    !wanted.is_empty() && (whole(image) || whole(repository) || whole(tagged))
}

/// Where a text stands in an object, as paths; the letters' case does not count.
#[must_use]
pub fn texts(found: &Value, wanted: &str) -> Vec<String> {
    let mut masked = object::masked(found);
    if let Some(map) = masked.as_object_mut() {
        map.remove("status");
    }
    let mut places = vec![];
    walk("", &masked, &wanted.to_lowercase(), &mut places);
    places
}

fn walk(path: &str, value: &Value, wanted: &str, places: &mut Vec<String>) {
    if places.len() >= MAX_PLACES || wanted.is_empty() {
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                if key.to_lowercase().contains(wanted) && places.len() < MAX_PLACES {
                    places.push(path.clone());
                } else {
                    walk(&path, value, wanted, places);
                }
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                walk(&format!("{path}/{index}"), value, wanted, places);
            }
        }
        Value::String(text) if text != object::MASK && text.to_lowercase().contains(wanted) => {
            places.push(path.to_owned());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The objects that belong to an owner, by UID, through owners in between: places in `all`, each with who owns it.
#[must_use]
pub fn owned(all: &[Value], owner: &str) -> Vec<(usize, String)> {
    let owners = |at: usize| {
        let owners = all.get(at)?.pointer("/metadata/ownerReferences");
        owners.and_then(Value::as_array)
    };
    let text = |o: &Value, at: &str| {
        o.pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut known: BTreeSet<String> = [owner.to_owned()].into();
    let mut found: BTreeMap<usize, String> = BTreeMap::new();
    for _ in 0..MAX_DEPTH {
        let before = found.len();
        for (at, one) in all.iter().enumerate() {
            if found.contains_key(&at) {
                continue;
            }
            let mut by = owners(at).into_iter().flatten();
            if let Some(by) = by.find(|by| known.contains(&text(by, "/uid"))) {
                let by = format!("{}/{}", text(by, "/kind").to_lowercase(), text(by, "/name"));
                found.insert(at, by);
                known.insert(text(one, "/metadata/uid"));
            }
        }
        if found.len() == before {
            break;
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_image_is_found_by_its_name_and_by_its_tag() {
        for (image, wanted, expected) in [
            ("nginx:1.28", "nginx", true),
            ("docker.io/library/nginx:1.28", "nginx", true),
            ("docker.io/library/nginx:1.28", "library/nginx", true),
            ("nginx:1.28", "nginx:1.28", true),
            ("r.io:5000/nginx:1.28@sha256:ab", "nginx:1.28", true),
            ("r.io:5000/nginx@sha256:ab", "nginx", true),
            ("r.io:5000/nginx", "nginx", true),
            ("nginx:1.28", "nginx:1.2", false),
            ("nginx-unprivileged:1.28", "nginx", false),
            ("my-nginx", "nginx", false),
            ("nginx", "", false),
        ] {
            assert_eq!(is_image(image, wanted), expected, "{image} {wanted}");
        }
        let web = json!({"kind": "Deployment", "spec": {"template": {"spec": {
            "initContainers": [{"name": "init", "image": "busybox"}], "containers": [{"name": "web", "image": "nginx:1.28"}]}}}});
        assert_eq!(images(&web, "nginx"), ["web: nginx:1.28"]);
        assert_eq!(images(&web, "busybox"), ["init: busybox"]);
        assert!(images(&json!({"kind": "Service"}), "nginx").is_empty());
    }

    #[test]
    fn no_value_of_a_secret_or_of_the_environment_is_found_by_asking() {
        let secret = json!({"kind": "Secret", "metadata": {"name": "db", "annotations": {"a": "hunter2"}}, "data": {"password": "hunter2"}});
        assert!(texts(&secret, "hunter2").is_empty());
        assert!(texts(&secret, "masked").is_empty());
        assert_eq!(texts(&secret, "PASSWORD"), ["/data/password"]);
        let env = json!({"kind": "Pod", "spec": {"containers": [{"env": [{"name": "TOKEN", "value": "hunter2"}]}]}});
        assert!(texts(&env, "hunter2").is_empty());
        assert_eq!(texts(&env, "token"), ["/spec/containers/0/env/0/name"]);
    }

    #[test]
    fn a_text_is_found_where_it_stands_but_not_in_the_status() {
        let map = json!({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a/b": "host=Redis:6379", "c": "x"}, "status": {"s": "redis"}});
        assert_eq!(texts(&map, "redis"), ["/data/a~1b"]);
        assert!(texts(&map, "").is_empty());
        let many = json!({"data": {"a": "x", "b": "x", "c": "x", "d": "x"}});
        assert_eq!(texts(&many, "x").len(), MAX_PLACES);
    }

    #[test]
    fn what_belongs_to_an_owner_is_found_through_what_it_owns_and_a_ring_ends() {
        let one = |uid: &str, owner: &str| json!({"metadata": {"uid": uid, "ownerReferences": [{"uid": owner, "kind": "ReplicaSet", "name": owner}]}});
        // The pod stands before the ReplicaSet that owns it.
        let all = [
            one("pod", "rs"),
            one("rs", "web"),
            one("other", "api"),
            one("a", "b"),
            one("b", "a"),
        ];
        let found = owned(&all, "web");
        assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(found[0].1, "replicaset/rs");
        assert_eq!(owned(&all, "a").len(), 2);
        // Many objects, the owner last: each is looked at a few times, not once for every other.
        let chain: Vec<Value> = (0..5_000)
            .map(|n| one(&format!("o{n}"), "rs"))
            .chain([one("rs", "web")])
            .collect();
        assert_eq!(owned(&chain, "web").len(), 5_001);
        assert!(owned(&all, "nobody").is_empty());
    }
}
