//! B25 at its worst: how long a decision takes by the costliest rules that admission lets through, on the largest plan.
//!
//! What rules may cost is bounded before they run: each of them, and all of a decision together. Here each pack is 64 times
//! one of the costliest expressions, so that a decision uses up what all rules together may cost. The slowest pack counts.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use super::policy::decided;
use super::stats::{Estimate, estimate};

/// Rules of a pack: as many as it may hold.
const RULES: usize = 64;
/// Decisions of each pack when the slowest one is looked for.
const SCOUTED: u32 = 3;
/// Steps of the plan, and objects of each.
const STEPS: usize = 64;
const TARGETS: usize = 8;
/// The costliest of each sort: loops in loops, copies of what is long, text that is compared or searched, patterns that
/// backtracking would never end, times in time zones, values that are made.
const EXPRESSIONS: [&str; 15] = [
    "requester.groups.exists(g, g in requester.groups && g == 'x')",
    "requester.groups.map(g, g + g).size() == 1",
    "plan.steps.exists(a, plan.steps.exists(b, a.id == b.id && a.action == 'x'))",
    "plan.namespaces.exists(a, plan.namespaces.exists(b, a + b == b))",
    "!(plan == plan && step == step && requester == requester)",
    "namespaceObject.labels.exists(k, namespaceObject.labels[k] == 'x' || k.contains('y'))",
    "plan.factors.exists(f, step.command.contains('ccccccccd'))",
    "requester.username.matches('^(u?){30}u{30}x$')",
    "step.command.matches('(c+)+(c+)+(c+)+x') || step.command.matches('(.*)(.*)(.*)(.*)(.*)(.*)[xyz]$')",
    "requester.username.matches('([a-z]?){99}[a-z]{99}[^a-z]')",
    "now.getHours('America/Argentina/Buenos_Aires') == 25 || timestamp('2026-07-01T12:00:00Z') < now - duration('4h')",
    "plan.factors.exists(f, now.getHours('Asia/Kolkata') > 25)",
    "string(plan.score) == '7' || int('7') == 8 || double('1.5') > 2.0 || size(step.command) == 3",
    "[1].map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).size() == 2",
    "[1, 2, 3].map(a, [a, a]).map(a, [a, a, a]).all(a, a == [[1], [2]])",
];

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Processes started for the slowest pack, each a sample.
    pub(super) runs: usize,
    /// Decisions of each.
    pub(super) rounds: u32,
}

/// What was found, in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Costliest {
    /// One decision by the slowest pack.
    pub(super) slowest: Estimate,
    /// Its expression.
    pub(super) expression: String,
    /// Each expression, as it was scouted.
    pub(super) all: Vec<(String, f64)>,
    pub(super) samples: Vec<f64>,
}

pub(super) async fn measure(binary: &Path, settings: Settings, seed: u64) -> Result<Costliest> {
    let folder = tempfile::tempdir()?;
    let (pack, plans) = (folder.path().join("pack.json"), folder.path().join("plans.json"));
    std::fs::write(&plans, largest_plan().to_string())?;
    let mut all = Vec::new();
    for expression in EXPRESSIONS {
        std::fs::write(&pack, pack_of(expression).to_string())?;
        let took = one(binary, &pack, &plans, SCOUTED).await.context(expression)?;
        all.push((expression.to_owned(), took));
    }
    let slowest = all.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let expression = slowest.context("there are no expressions")?.0.clone();
    std::fs::write(&pack, pack_of(&expression).to_string())?;
    let mut samples = Vec::new();
    for _ in 0..settings.runs.max(1) {
        samples.push(one(binary, &pack, &plans, settings.rounds).await?);
    }
    Ok(Costliest {
        slowest: estimate(&samples, seed).context("no samples")?,
        expression,
        all,
        samples,
    })
}

/// Milliseconds of one decision, in a process of its own.
async fn one(binary: &Path, pack: &Path, plans: &Path, rounds: u32) -> Result<f64> {
    let found = decided(binary, pack, plans, rounds).await?;
    let plan = found.first().context("the plan is missing")?;
    ensure!(plan["rules"] == json!([]), "a rule matched: {}", plan["rules"]);
    Ok(plan["microseconds"].as_f64().context("it was not measured")? / 1000.0)
}

/// A pack of one expression, which is true of nothing: so that it is asked for every step and target.
fn pack_of(expression: &str) -> Value {
    let rule = |i: usize| json!({"name": format!("r{i}"), "when": expression, "effect": "RequireApproval"});
    let rules: Vec<Value> = (0..RULES).map(rule).collect();
    json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "RiskPolicy", "metadata": {"name": "costly"}, "spec": {"rules": rules}
    })
}

/// As many characters, the last ones telling it from others.
fn long(i: usize, length: usize) -> String {
    format!("{i:0>length$}")
}

fn names(count: usize, length: usize) -> Vec<String> {
    (0..count).map(|i| long(i, length)).collect()
}

/// A map as large as labels may be.
fn labels() -> Value {
    let pairs = (0..64).map(|i| (long(i, 100), json!("v".repeat(63))));
    Value::Object(pairs.collect())
}

/// A plan that holds as much of everything as rules are shown at most.
fn largest_plan() -> Value {
    let target = |i: usize| {
        json!({
            "group": "g".repeat(253), "version": "v1", "kind": format!("K{}", long(i, 60)), "resource": "r",
            "namespace": format!("n{i}"), "name": "n".repeat(253)
        })
    };
    let line = |i: usize| json!({"target": 0, "path": format!("/{}", long(i, 250))});
    let step = |i: usize| {
        json!({
            "id": format!("s{i}"), "action": "label", "effect": "update", "level": "caution", "command": "c".repeat(1024),
            "targets": (0..TARGETS).map(target).collect::<Vec<_>>(), "selector": "s".repeat(1024),
            "params": {"set": labels(), "remove": names(64, 300)}, "selectedBy": names(50, 300),
            "diff": (0..200).map(line).collect::<Vec<_>>(), "rollback": {"kind": "None", "why": ""}
        })
    };
    let factor = |i: usize| json!({"id": long(i, 63), "weight": 1, "text": ""});
    let fact = |i: usize| json!({"name": format!("n{i}"), "labels": labels()});
    let hundred = names(100, 300);
    let objects = (0..61).map(|i| (format!("Kind{i}"), json!(1)));
    json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "CommandPlan", "metadata": {"name": "largest", "namespace": "n0"},
        "spec": {
            "chatRequestRef": {"name": "r", "uid": "u"},
            "requester": {"username": "u".repeat(1024), "groups": names(256, 200)},
            "steps": (0..STEPS).map(step).collect::<Vec<_>>(),
            "risk": {"level": "caution", "score": 50, "factors": (0..128).map(factor).collect::<Vec<_>>()},
            "facts": {"namespaces": (0..TARGETS).map(fact).collect::<Vec<_>>()},
            "blastRadius": {
                "objects": Value::Object(objects.collect()), "servicesAtZero": hundred, "pdbsViolated": hundred, "pvcs": hundred,
                "unrecoverableVolumes": hundred, "singleReplicas": hundred, "undoneBy": hundred, "complete": true,
                "podsLost": 100, "podsTotal": 200, "nodesPercent": 50, "podsPercent": 50, "outsideNamespace": 1
            },
            "expiresAt": "", "clusterUID": "", "digest": ""
        }
    })
}
