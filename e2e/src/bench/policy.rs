//! B25: how long one decision of the RiskPolicies takes, inside the program, without any cluster.
//!
//! `kubechat policy test --measure` decides again and again, in its own process, over a plan and a pack of 50 rules that
//! read what rules tend to read; none of them matches, so that each is asked to the end.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use super::stats::{Estimate, estimate, median};

/// Rules of the pack.
const RULES: usize = 50;

/// How B25 is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Processes started, each a sample.
    pub(super) runs: usize,
    /// Decisions of each.
    pub(super) rounds: u32,
}

/// What was found, in microseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Decisions {
    /// One decision over a plan of one object.
    pub(super) one: Estimate,
    /// The median over a plan of ten objects.
    pub(super) ten: f64,
    pub(super) samples: Vec<(f64, f64)>,
}

pub(super) async fn measure(binary: &Path, settings: Settings, seed: u64) -> Result<Decisions> {
    let folder = tempfile::tempdir()?;
    let (pack, plans) = (folder.path().join("pack.json"), folder.path().join("plans.json"));
    std::fs::write(&pack, pack_of_rules().to_string())?;
    std::fs::write(
        &plans,
        json!({"kind": "List", "items": [plan(1), plan(10)]}).to_string(),
    )?;
    let mut samples = Vec::new();
    for _ in 0..settings.runs.max(1) {
        let found = decided(binary, &pack, &plans, settings.rounds).await?;
        let time = |index: usize| -> Result<f64> {
            let plan = found.get(index).context("a plan is missing")?;
            ensure!(plan["rules"] == json!([]), "a rule matched: {plan}");
            plan["microseconds"].as_f64().context("it was not measured")
        };
        samples.push((time(0)?, time(1)?));
    }
    let ones: Vec<f64> = samples.iter().map(|(one, _)| *one).collect();
    let tens: Vec<f64> = samples.iter().map(|(_, ten)| *ten).collect();
    Ok(Decisions {
        one: estimate(&ones, seed).context("no samples")?,
        ten: median(&tens).context("no samples")?,
        samples,
    })
}

/// What a process found over these plans by this pack, deciding so often.
pub(super) async fn decided(binary: &Path, pack: &Path, plans: &Path, rounds: u32) -> Result<Vec<Value>> {
    let output = tokio::process::Command::new(binary)
        .args([
            "policy",
            "test",
            "-o",
            "json",
            "--at",
            "2026-07-01T12:00:00Z",
            "-f",
        ])
        .arg(pack)
        .arg("--plans")
        .arg(plans)
        .args(["--measure", &rounds.to_string()])
        .output()
        .await
        .context("kubechat does not run")?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn pack_of_rules() -> Value {
    let rules: Vec<Value> = (0..RULES)
        .map(|i| {
            let when = match i % 5 {
                0 => format!("plan.level == 'destructive' && plan.score >= {i}"),
                1 => format!("step.action in ['delete', 'scale'] && target.kind == 'Deployment{i}'"),
                2 => format!("has(namespaceObject.labels.env) && namespaceObject.labels.env == 'prod{i}'"),
                3 => format!("requester.groups.exists(g, g == 'team-{i}') && target.name.startsWith('db-')"),
                _ => format!("plan.steps.exists(s, s.action == 'delete' && s.targets > {i})"),
            };
            json!({"name": format!("r{i}"), "when": when, "effect": "Deny"})
        })
        .collect();
    json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "RiskPolicy", "metadata": {"name": "fifty"}, "spec": {"rules": rules}
    })
}

fn plan(objects: usize) -> Value {
    let targets: Vec<Value> = (0..objects)
        .map(|i| {
            json!({"group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments", "namespace": "dev", "name": format!("web-{i}")})
        })
        .collect();
    json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "CommandPlan", "metadata": {"name": format!("p{objects}"), "namespace": "dev"},
        "spec": {
            "chatRequestRef": {"name": "r", "uid": "u"}, "requester": {"username": "alice", "groups": ["developers", "shop"]},
            "steps": [{
                "id": "s1", "action": "scale", "effect": "update", "level": "caution", "command": "", "targets": targets,
                "params": {"replicas": 3}, "rollback": {"kind": "Inverse", "why": ""}
            }],
            "risk": {"level": "caution", "score": 25}, "facts": {"namespaces": [{"name": "dev", "labels": {"env": "dev"}}]},
            "expiresAt": "", "clusterUID": "", "digest": ""
        }
    })
}
