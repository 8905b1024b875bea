//! Which objects read a label through their selector.

use std::collections::BTreeMap;

use serde_json::Value;

/// Whether a selector (`matchLabels`/`matchExpressions`, or a plain map as a Service has it) names one of these keys and
/// selects the labels before or after the change.
#[must_use]
pub fn reads_key(
    selector: &Value,
    keys: &[String],
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> bool {
    let Some(map) = selector.as_object() else {
        return false;
    };
    let structured = map.contains_key("matchLabels") || map.contains_key("matchExpressions");
    let mut named: Vec<&str> = vec![];
    if structured {
        named.extend(
            map.get("matchLabels")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(k, _)| k.as_str()),
        );
        let expressions = map
            .get("matchExpressions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        named.extend(expressions.filter_map(|e| e.get("key")?.as_str()));
    } else {
        named.extend(map.keys().map(String::as_str));
    }
    keys.iter().any(|k| named.contains(&k.as_str()))
        && (selects(selector, before) || selects(selector, after))
}

/// Whether a NetworkPolicy reads one of these keys of a pod, before or after the change: as the pods it is for, or as a peer
/// they may speak with. `same` says that it lies in the pod's own namespace; from another one it reads only peers that it
/// looks for by namespace. Which namespaces those are is not asked: any may be meant.
#[must_use]
pub fn network_policy_reads(
    policy: &Value,
    same: bool,
    keys: &[String],
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> bool {
    let reads = |selector: &Value| reads_key(selector, keys, before, after);
    let rules = |direction: &str, peers: &str| -> Vec<Value> {
        let rules = policy
            .pointer(&format!("/spec/{direction}"))
            .and_then(Value::as_array);
        let of = |rule: &Value| rule.get(peers).and_then(Value::as_array).cloned();
        rules.into_iter().flatten().filter_map(of).flatten().collect()
    };
    let mut peers = rules("ingress", "from");
    peers.extend(rules("egress", "to"));
    let peer = |peer: &Value| {
        let here = same || peer.get("namespaceSelector").is_some_and(|s| !s.is_null());
        here && peer.get("podSelector").is_some_and(reads)
    };
    (same && policy.pointer("/spec/podSelector").is_some_and(reads)) || peers.iter().any(peer)
}

/// How the entry of selectors ends that lie in other namespaces than the pods and cannot be read.
pub const ELSEWHERE: &str = " of other namespaces";

/// Whether the selector selects the labels; a selector that cannot be read selects (the stricter reading).
#[must_use]
pub fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let structured = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let parsed = if structured {
        serde_json::from_value(selector.clone())
    } else {
        serde_json::from_value(serde_json::json!({ "matchLabels": selector }))
    };
    parsed.map_or(true, |s| crate::policy::selects(&s, labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_network_policy_reads_the_labels_of_the_pods_it_is_for_and_of_its_peers() {
        let web: BTreeMap<String, String> = [("app".to_owned(), "web".to_owned())].into();
        let none = BTreeMap::new();
        let key = vec!["app".to_owned()];
        let pods = json!({"podSelector": {"matchLabels": {"app": "web"}}});
        let mut anywhere = pods.clone();
        anywhere["namespaceSelector"] = json!({});
        let others = json!({"podSelector": {"matchLabels": {"app": "db"}}});
        let all = json!({"namespaceSelector": {"matchLabels": {"a": "b"}}});
        let address = json!({"ipBlock": {"cidr": "10.0.0.0/8"}});
        let ingress = |peer: &Value| json!({"spec": {"podSelector": {}, "ingress": [{"ports": []}, {"from": [address, peer]}]}});
        let egress = |peer: &Value| json!({"spec": {"podSelector": {}, "egress": [{"to": [others, peer]}]}});
        // The policy, whether it counts in the pod's namespace, and from another one.
        let cases = [
            (json!({"spec": pods}), true, false),
            (ingress(&pods), true, false),
            (egress(&pods), true, false),
            (ingress(&anywhere), true, true),
            (egress(&anywhere), true, true),
            (ingress(&others), false, false),
            (ingress(&all), false, false),
            (json!({"spec": {"podSelector": {}}}), false, false),
            (json!({}), false, false),
        ];
        for (policy, here, elsewhere) in cases {
            // A label that comes and one that goes.
            for (before, after) in [(&web, &none), (&none, &web)] {
                let reads = |same| network_policy_reads(&policy, same, &key, before, after);
                assert_eq!((reads(true), reads(false)), (here, elsewhere), "{policy}");
            }
        }
    }

    #[test]
    fn a_selector_reads_a_key_only_if_it_names_it_and_selects_the_object() {
        let web: BTreeMap<String, String> = [("app".to_owned(), "web".to_owned())].into();
        let none = BTreeMap::new();
        let key = vec!["app".to_owned()];
        let cases = [
            (json!({"app": "web"}), true),
            (json!({"app": "db"}), false),
            (json!({"tier": "x"}), false),
            (json!({"matchLabels": {"app": "web"}}), true),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
                true,
            ),
            (json!({"matchExpressions": [{"key": "app", "operator": 7}]}), true),
            (json!(null), false),
        ];
        for (selector, want) in cases {
            assert_eq!(reads_key(&selector, &key, &web, &none), want, "{selector}");
        }
    }
}
