use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use super::*;

fn ports() -> Vec<Value> {
    vec![
        json!({"port": 80}),
        json!({"port": "web", "protocol": "TCP"}),
        json!({"protocol": "UDP"}),
        json!({"port": 1, "endPort": 20_000}),
        json!({"port": 10_000, "endPort": 40_000}),
        json!({"port": 50_000, "endPort": 65_535}),
    ]
}

fn peers() -> Vec<Value> {
    vec![
        json!({"podSelector": {}}),
        json!({"namespaceSelector": {}}),
        json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}),
        json!({"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}),
        json!({"ipBlock": {"cidr": "10.0.0.0/8"}}),
        json!({"ipBlock": {"cidr": "11.0.0.0/8"}}),
        json!({"ipBlock": {"cidr": "::/0", "except": ["fc00::/7"]}}),
        json!({"ipBlock": {"cidr": "2000::/7"}}),
    ]
}

fn rule() -> impl Strategy<Value = Value> {
    (subsequence(ports(), 1..=6), subsequence(peers(), 1..=8))
        .prop_map(|(ports, peers)| json!({"ports": ports, "to": peers}))
}

proptest! {
    #[test]
    fn another_rule_port_or_peer_closes_no_policy(
        rules in prop::collection::vec(rule(), 1..4), more in rule(), at in 0..4_usize, port in select(ports()), peer in select(peers())
    ) {
        let of = |rules: &[Value]| opens(&json!({"spec": {"egress": rules}}));
        let before = of(&rules);
        let grown = |change: &dyn Fn(&mut Vec<Value>)| {
            let mut rules = rules.clone();
            change(&mut rules);
            of(&rules)
        };
        let at = at % rules.len();
        let push = |rules: &mut Vec<Value>, list: &str, one: &Value| rules[at][list].as_array_mut().unwrap().push(one.clone());
        prop_assert!(!before || grown(&|rules| rules.push(more.clone())));
        prop_assert!(!before || grown(&|rules| push(rules, "ports", &port)));
        prop_assert!(!before || grown(&|rules| push(rules, "to", &peer)));
        // No list at all is more than any.
        prop_assert!(!before || grown(&|rules| rules[at]["ports"] = json!([])));
        prop_assert!(!before || grown(&|rules| rules[at]["to"] = json!(null)));
    }
}

#[test]
fn rules_that_let_everybody_in_together_do_so_as_one_rule_would() {
    let (low, high) = (
        json!({"port": 1, "endPort": 32_000}),
        json!({"port": 32_001, "endPort": 65_535}),
    );
    let half = |cidr: &str| json!({"from": [{"ipBlock": {"cidr": cidr}}]});
    for (rules, expected) in [
        (json!([{"ports": [low]}, {"ports": [high]}]), true),
        (json!([{"ports": [low]}, {"ports": [low]}]), false),
        (
            json!([{"ports": [low]}, {"ports": [high], "from": [{"podSelector": {}}]}]),
            false,
        ),
        (json!([half("8.0.0.0/8"), half("9.0.0.0/8")]), true),
        (json!([half("8.0.0.0/8"), half("fd00::/7")]), false),
        (json!([null]), true),
        (json!([]), false),
        (json!(null), false),
        (json!([{"from": [{"ipBlock": {"cidr": "what"}}]}]), true),
        (json!([{"ports": [null]}]), true),
        (json!([{"ports": [{"port": true}]}]), true),
        (json!([{"ports": [{"port": 1, "endPort": "many"}]}]), true),
        (
            json!([{"ports": [{"port": 9, "endPort": 1}, {"port": 18_446_744_073_709_551_615_u64}]}]),
            false,
        ),
    ] {
        assert_eq!(opens(&json!({"spec": {"ingress": rules}})), expected, "{rules}");
        assert!(!opens(&json!({"spec": {"ingress": [], "egress": []}})));
    }
}
