use std::path::PathBuf;

use super::*;

const PLAN: &str = r#"
apiVersion: kubechat.io/v1beta1
kind: CommandPlan
metadata: {name: scale-web, namespace: dev}
spec:
  chatRequestRef: {name: r, uid: u}
  requester: {username: alice}
  steps:
    - id: s1
      action: scale
      effect: update
      level: caution
      command: ""
      targets: [{group: apps, version: v1, kind: Deployment, resource: deployments, namespace: dev, name: web}]
      rollback: {kind: Inverse, why: ""}
  risk: {level: caution, score: 25}
  facts: {namespaces: [{name: dev, labels: {env: dev}}]}
  requirement: [{policy: baseline, count: 1, selfConfirm: true}]
  expiresAt: "2026-07-01T20:00:00Z"
  clusterUID: c
  digest: ""
"#;

fn pack(spec: &str) -> String {
    format!("apiVersion: kubechat.io/v1beta1\nkind: RiskPolicy\nmetadata: {{name: given}}\nspec: {spec}\n")
}

fn rules(when: &str, effect: &str) -> String {
    pack(&format!(
        "{{approvals: {{caution: {{count: 1, selfConfirm: true}}}}, rules: [{{name: r, when: {when:?}, effect: {effect}}}]}}"
    ))
}

fn run(pack: &str, plans: &[(&str, &str)], output: AuditFormat) -> Result<(String, Exit), CliError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pack.yaml");
    std::fs::write(&file, pack).unwrap();
    let dir = folder.path().join("plans");
    std::fs::create_dir(&dir).unwrap();
    for (name, text) in plans {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let args = PolicyTestArgs {
        file: vec![file],
        plans: dir,
        at: Some("2026-07-01T12:00:00Z".parse().unwrap()),
        measure: None,
        output,
    };
    let look = Look {
        width: None,
        color: false,
    };
    test(&look, &args)
}

#[test]
fn shows_what_a_pack_would_change_and_says_so_by_the_exit_code() {
    let strict = "{approvals: {caution: {count: 2}}}";
    for (pack, change, given, exit) in [
        (pack("{}"), "same", "caution: 1 (self)", Exit::Done),
        (pack(strict), "stricter", "caution: 2", Exit::PolicyChanges),
        (
            rules("step.action == 'scale'", "Allow"),
            "weaker",
            "caution: nobody",
            Exit::PolicyChanges,
        ),
        (
            rules("target.name == 'web'", "Deny"),
            "denied",
            "denied by given/r",
            Exit::PolicyChanges,
        ),
        (
            rules("target.name == 'api'", "Deny"),
            "same",
            "caution: 1 (self)",
            Exit::Done,
        ),
        (
            rules("now > timestamp('2026-07-01T11:00:00Z')", "Deny"),
            "denied",
            "denied by given/r",
            Exit::PolicyChanges,
        ),
    ] {
        let (text, ended) = run(&pack, &[("a.yaml", PLAN)], AuditFormat::Table).unwrap();
        let row = text.lines().nth(1).unwrap();
        assert!(
            row.starts_with("dev/scale-web") && row.contains(change) && row.contains(given),
            "{text}"
        );
        assert_eq!(ended, exit, "{text}");
    }
}

#[test]
fn takes_lists_documents_and_json_and_prints_json() {
    let value: Value = serde_saphyr::from_str(PLAN).unwrap();
    let list = serde_json::json!({"kind": "List", "items": [value, value]}).to_string();
    let two = format!("---{PLAN}---{PLAN}");
    let plans = [
        ("list.json", list.as_str()),
        ("two.yaml", two.as_str()),
        ("notes.txt", "no plan"),
    ];
    let (text, _) = run(&pack("{}"), &plans, AuditFormat::Json).unwrap();
    let found: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(found.len(), 4);
    assert!(
        found
            .iter()
            .all(|r| r["plan"] == "dev/scale-web" && r["change"] == "same"),
        "{text}"
    );
}

#[test]
fn says_what_is_wrong_with_a_file() {
    let good = pack("{}");
    let bad = rules("step.acton == 'scale'", "Deny");
    let no_plan = "apiVersion: v1\nkind: ConfigMap\n";
    for (pack, plans, words) in [
        (
            bad.as_str(),
            vec![("a.yaml", PLAN)],
            "1:6: step has no field acton",
        ),
        (
            "kind: ConfigMap",
            vec![("a.yaml", PLAN)],
            "holds a ConfigMap, not a RiskPolicy",
        ),
        ("", vec![("a.yaml", PLAN)], "holds no object"),
        ("{{{", vec![("a.yaml", PLAN)], "cannot read"),
        (&good, vec![], "kubectl get commandplans"),
        (
            &good,
            vec![("a.yaml", no_plan)],
            "holds a ConfigMap, not a CommandPlan",
        ),
        (
            &good,
            vec![("a.yaml", "kind: CommandPlan\nspec: {}")],
            "no valid CommandPlan",
        ),
    ] {
        let error = run(pack, &plans, AuditFormat::Table).unwrap_err();
        assert!(
            matches!(&error, CliError::Usage(said) if said.contains(words)),
            "{error}"
        );
    }
    let missing = PolicyTestArgs {
        file: vec![PathBuf::from("/nowhere/pack.yaml")],
        plans: PathBuf::from("/nowhere"),
        at: None,
        measure: None,
        output: AuditFormat::Table,
    };
    let look = Look {
        width: None,
        color: false,
    };
    assert!(
        test(&look, &missing)
            .unwrap_err()
            .to_string()
            .contains("/nowhere/pack.yaml")
    );
}
