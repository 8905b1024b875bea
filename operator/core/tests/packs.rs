//! What the packs that ship decide: plans x packs -> decision. A change here is a change of what people rely on.

// Helpers of tests may stop where they stand; clippy only knows the test functions themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use kubechat_core::policy::{Effective, doubtful, invalid};
use kubechat_crds::{CommandPlanSpec, RiskPolicy};
use serde_json::{Value, json};

/// Outside of all freezes.
const WEDNESDAY: &str = "2026-08-12T14:00:00Z";

fn pack(name: &str) -> RiskPolicy {
    if name == "baseline" {
        let all = kubechat_crds::install::policies::objects();
        return serde_json::from_value(
            all.into_iter()
                .find(|o| o["metadata"]["name"] == "baseline")
                .unwrap(),
        )
        .unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shipped = root.join("crds/packs").join(name).join("pack.yaml");
    let example = root.join("examples/policies").join(name).join("riskpolicy.yaml");
    let file = if shipped.exists() { shipped } else { example };
    serde_saphyr::from_str(
        &std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())),
    )
    .unwrap()
}

/// A plan by one step; `change` replaces fields (by JSON pointer).
fn plan(name: &str) -> CommandPlanSpec {
    let mut plan = json!({
        "chatRequestRef": {"name": "r", "uid": "u"},
        "requester": {"username": "alice", "groups": ["developers"]},
        "steps": [{
            "id": "s1", "action": "scale", "effect": "update", "level": "caution", "command": "",
            "targets": [{"group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments", "namespace": "dev", "name": "web"}],
            "rollback": {"kind": "Inverse", "why": ""}
        }],
        "risk": {"level": "caution", "score": 30},
        "blastRadius": {
            "objects": {}, "podsLost": 0, "podsTotal": 10, "servicesAtZero": [], "pdbsViolated": [], "pvcs": [],
            "nodesPercent": 0, "podsPercent": 1, "outsideNamespace": 0, "undoneBy": [], "complete": true
        },
        "facts": {"namespaces": [{"name": "dev", "labels": {}}]},
        "expiresAt": "", "clusterUID": "", "digest": ""
    });
    let changes: &[(&str, Value)] = &match name {
        "scale" => vec![],
        "scale, protected" => vec![
            (
                "/facts/namespaces/0/labels",
                json!({"kubechat.io/protected": "true"}),
            ),
            ("/facts/namespaces/0/protected", json!(true)),
        ],
        "scale by a service account, CDE" => vec![
            ("/requester/username", json!("system:serviceaccount:dev:deployer")),
            (
                "/facts/namespaces/0/labels",
                json!({"pci.example.com/cde": "true"}),
            ),
        ],
        "scale, CDE" => vec![(
            "/facts/namespaces/0/labels",
            json!({"pci.example.com/cde": "true"}),
        )],
        "scale, in scope" => vec![(
            "/facts/namespaces/0/labels",
            json!({"sox.example.com/in-scope": "true"}),
        )],
        "scale, from a log" => vec![("/facts/untrustedText", json!(true))],
        "scale, the 101st object" => vec![("/facts/window/objects", json!(100))],
        "scale of half the cluster" => vec![("/blastRadius/podsPercent", json!(51))],
        "restart, in scope" => vec![
            (
                "/facts/namespaces/0/labels",
                json!({"sox.example.com/in-scope": "true"}),
            ),
            ("/steps/0/action", json!("restart")),
            ("/steps/0/rollback/kind", json!("None")),
        ],
        "label, in scope, not undone" => vec![
            (
                "/facts/namespaces/0/labels",
                json!({"sox.example.com/in-scope": "true"}),
            ),
            ("/steps/0/action", json!("label")),
            ("/steps/0/rollback/kind", json!("None")),
        ],
        "delete" => delete(70),
        "delete, score 90" => delete(90),
        "delete, protected" => {
            let mut all = delete(75);
            all.push(("/facts/namespaces/0/protected", json!(true)));
            all
        }
        "delete of a NetworkPolicy, CDE" => {
            let mut all = delete(75);
            all.push(("/steps/0/targets/0/kind", json!("NetworkPolicy")));
            all.push((
                "/facts/namespaces/0/labels",
                json!({"pci.example.com/cde": "true"}),
            ));
            all
        }
        "delete of data" => {
            let mut all = delete(85);
            all.push(("/blastRadius/unrecoverableVolumes", json!(["dev/data"])));
            all
        }
        other => panic!("no plan {other}"),
    };
    for (path, value) in changes {
        let (parent, key) = path.rsplit_once('/').unwrap();
        if plan.pointer(parent).is_none() {
            *plan.pointer_mut("/facts").unwrap() =
                json!({"namespaces": plan["facts"]["namespaces"], "window": {}});
        }
        plan.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    serde_json::from_value(plan).unwrap()
}

fn delete(score: i32) -> Vec<(&'static str, Value)> {
    vec![
        ("/steps/0/action", json!("delete")),
        ("/steps/0/effect", json!("delete")),
        ("/steps/0/rollback/kind", json!("Recreate")),
        ("/risk/level", json!("destructive")),
        ("/risk/score", json!(score)),
    ]
}

/// `denied by RULE`, or `LEVEL: COUNT[/RULE][ self][ of GROUPS], ..`.
fn decision(packs: &[&str], name: &str, at: &str) -> String {
    let packs: Vec<RiskPolicy> = packs.iter().map(|p| pack(p)).collect();
    let found = Effective::from_policies(&packs)
        .unwrap()
        .evaluate(&plan(name), at.parse().unwrap());
    if let Some(denied) = found.denied {
        return format!("denied by {}/{}", denied.policy, denied.rule);
    }
    let entry = |r: &kubechat_crds::command_plan::Requirement| {
        let rule = r.rule.as_ref().map(|r| format!("/{r}")).unwrap_or_default();
        let own = if r.self_confirm { " self" } else { "" };
        let groups = if r.groups.is_empty() {
            String::new()
        } else {
            format!(" of {}", r.groups.join("|"))
        };
        format!("{}{rule}{own}{groups}", r.count)
    };
    let all: Vec<String> = found.requirement.iter().map(entry).collect();
    format!("{}: {}", found.level, all.join(", "))
}

#[test]
fn the_packs_decide_as_their_guides_say() {
    let table: &[(&str, &str, &str)] = &[
        ("baseline", "scale", "caution: 1 self"),
        ("baseline", "scale, protected", "caution: 1 self"),
        ("baseline", "delete", "destructive: 1"),
        ("baseline", "delete, score 90", "destructive: 1, 2/two-people"),
        ("baseline", "delete, protected", "destructive: 1, 2/two-people"),
        ("strict", "scale", "caution: 1"),
        ("strict", "scale, protected", "destructive: 2"),
        ("strict", "delete", "destructive: 2"),
        (
            "strict",
            "delete, protected",
            "denied by strict/no-protected-deletes",
        ),
        ("strict", "delete of data", "denied by strict/no-lost-data"),
        (
            "strict",
            "scale of half the cluster",
            "denied by strict/limits.clusterShare",
        ),
        ("strict", "scale, from a log", "caution: 1, 2/untrusted-text"),
        ("strict", "scale, the 101st object", "destructive: 2"),
        ("read-only", "scale", "denied by read-only/no-changes"),
        ("read-only", "delete", "denied by read-only/no-changes"),
        ("pci-dss", "scale", "caution: 1 of approvers"),
        ("pci-dss", "delete", "destructive: 2 of approvers"),
        (
            "pci-dss",
            "scale, CDE",
            "destructive: 2 of approvers, 1/cde-is-significant of platform",
        ),
        (
            "pci-dss",
            "scale by a service account, CDE",
            "denied by pci-dss/people-only",
        ),
        (
            "pci-dss",
            "delete of a NetworkPolicy, CDE",
            "denied by pci-dss/segmentation-stays",
        ),
        ("pci-dss", "scale, from a log", "destructive: 2 of approvers"),
        (
            "pci-dss",
            "scale of half the cluster",
            "denied by pci-dss/limits.clusterShare",
        ),
        ("sox-change-control", "scale", "caution: 1 of approvers"),
        (
            "sox-change-control",
            "scale, in scope",
            "destructive: 2 of approvers",
        ),
        (
            "sox-change-control",
            "restart, in scope",
            "destructive: 2 of approvers",
        ),
        (
            "sox-change-control",
            "label, in scope, not undone",
            "denied by sox-change-control/undo-is-known",
        ),
    ];
    for (pack, plan, expected) in table {
        assert_eq!(&decision(&[pack], plan, WEDNESDAY), expected, "{pack}: {plan}");
    }
}

#[test]
fn packs_together_are_the_strictest_of_them() {
    assert_eq!(
        decision(&["baseline", "strict"], "scale", WEDNESDAY),
        "caution: 1 self, 1"
    );
    assert_eq!(
        decision(&["baseline", "read-only"], "scale", WEDNESDAY),
        "denied by read-only/no-changes"
    );
    assert_eq!(
        decision(&["baseline", "pci-dss", "strict"], "delete, score 90", WEDNESDAY),
        "destructive: 1, 2/two-people, 2 of approvers, 2"
    );
}

#[test]
fn the_books_are_closed_by_the_clock_of_new_york() {
    let at = |time: &str| decision(&["sox-change-control"], "scale", time);
    // Midnight in New York is 04:00Z in summer; the week lasts seven times 24 hours.
    assert_eq!(
        at("2026-06-28T03:59:59Z"),
        "caution: 1 of approvers, 1/freeze-2 of approvers"
    );
    assert_eq!(
        at("2026-06-28T04:00:00Z"),
        "denied by sox-change-control/freeze-1"
    );
    assert_eq!(
        at("2026-07-01T14:00:00Z"),
        "denied by sox-change-control/freeze-1"
    );
    assert_eq!(
        at("2026-07-05T03:59:59Z"),
        "denied by sox-change-control/freeze-1"
    );
    assert_eq!(at("2026-07-05T14:00:00Z"), "caution: 1 of approvers");
    assert_eq!(at("2026-08-12T23:59:59Z"), "caution: 1 of approvers");
    assert_eq!(
        at("2026-08-13T00:00:00Z"),
        "caution: 1 of approvers, 1/freeze-2 of approvers"
    );
}

#[test]
fn the_packs_have_no_faults_and_surprise_nobody() {
    for name in ["baseline", "strict", "pci-dss", "sox-change-control"] {
        let pack = pack(name);
        assert_eq!(invalid(&pack.spec), Vec::<String>::new(), "{name}");
        assert_eq!(doubtful(&pack.spec), Vec::<String>::new(), "{name}");
    }
    assert_eq!(
        doubtful(&pack("read-only").spec).len(),
        1,
        "that it denies everything is said"
    );
}
