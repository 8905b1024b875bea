//! How long 1 MiB of logs and manifests takes to lose its secrets, and how many of them: inside the program, without any
//! cluster (`kubechat redact --measure`), with detect-secrets from PyPI on the same file beside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use serde_json::Value;
use tokio::process::Command;

use super::stats::{Estimate, estimate, percentile};

/// Redactions of a process.
pub(super) const ROUNDS: u32 = 40;
/// Bytes of the text.
const BYTES: usize = 1 << 20;
/// One line in so many has a secret.
const ONE_IN: u32 = 50;
/// The peer, pinned.
const PEER: &str = "detect-secrets==1.5.0";
/// Kinds of secrets and a text with each.
const KINDS: &str = include_str!("../../../operator/core/tests/corpus/secrets.txt");

/// What was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Redaction {
    pub(super) p95: Estimate,
    pub(super) share: Estimate,
    pub(super) runs: usize,
    pub(super) bytes: usize,
    pub(super) planted: usize,
    pub(super) kinds: usize,
    /// Lines marked that hold nothing.
    pub(super) others: usize,
    pub(super) peer: Option<Peer>,
}

/// What the peer did with the same file.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Peer {
    pub(super) version: String,
    pub(super) milliseconds: f64,
    pub(super) share: f64,
    pub(super) others: usize,
}

pub(super) async fn measure(binary: &Path, runs: usize, seed: u64) -> Result<Redaction> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("text.log");
    let (text, planted, kinds) = text(seed);
    std::fs::write(&file, &text)?;
    let mut p95 = vec![];
    let mut marked = BTreeSet::new();
    for _ in 0..runs.max(1) {
        let output = Command::new(binary)
            .args(["redact", "-o", "json", "--measure", &ROUNDS.to_string()])
            .arg(&file)
            .output()
            .await
            .context("kubechat does not run")?;
        let said: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let times: Vec<f64> = said["milliseconds"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect();
        p95.push(percentile(&times, 0.95).context("it was not measured")?);
        marked = said["secrets"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|hit| hit["line"].as_u64())
            .collect();
    }
    let share = share(&planted, &marked);
    Ok(Redaction {
        p95: estimate(&p95, seed).context("no samples")?,
        share: Estimate {
            value: share,
            low: share,
            high: share,
        },
        runs,
        bytes: text.len(),
        planted: planted.len(),
        kinds,
        others: marked.difference(&planted).count(),
        peer: peer(&file, &planted).await.ok(),
    })
}

fn share(planted: &BTreeSet<u64>, marked: &BTreeSet<u64>) -> f64 {
    planted.intersection(marked).count() as f64 / planted.len().max(1) as f64
}

/// Lines of logs and manifests; the numbers of those with a secret; how many kinds there are.
fn text(seed: u64) -> (String, BTreeSet<u64>, usize) {
    let mut rng = StdRng::seed_from_u64(seed);
    // Kinds that need several lines have no place in a log.
    let kinds: Vec<&str> = KINDS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("\\n"))
        .filter_map(|line| line.split(" | ").nth(1))
        .collect();
    let mut out = String::with_capacity(BYTES + 1024);
    let mut planted = BTreeSet::new();
    let mut line = 0;
    let mut next = 0;
    while out.len() < BYTES {
        line += 1;
        if rng.random_ratio(1, ONE_IN) {
            planted.insert(line);
            let with = kinds.get(next % kinds.len().max(1)).copied().unwrap_or_default();
            next += 1;
            out.push_str("level=info msg=started with ");
            out.push_str(&fill(with, &mut rng));
        } else {
            out.push_str(&plain(&mut rng));
        }
        out.push('\n');
    }
    (out, planted, kinds.len())
}

fn letters(from: &str, n: usize, rng: &mut StdRng) -> String {
    let from = from.as_bytes();
    (0..n)
        .map(|_| char::from(from[rng.random_range(0..from.len())]))
        .collect()
}

const HEX: &str = "0123456789abcdef";
const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn uuid(rng: &mut StdRng) -> String {
    let mut part = |n| letters(HEX, n, rng);
    format!("{}-{}-4{}-a{}-{}", part(8), part(4), part(3), part(3), part(12))
}

/// A line as clusters have them by the thousand.
fn plain(rng: &mut StdRng) -> String {
    let pod = format!("web-{}-{}", letters(HEX, 10, rng), letters("bcdfghjkl", 5, rng));
    match rng.random_range(0..9) {
        0 => format!(
            "2026-03-01T12:00:00Z INFO {pod} handled GET /api/v1/items/{} in 12ms",
            rng.random_range(0..9999)
        ),
        1 => format!(
            "    image: registry.example.org/team/web@sha256:{}",
            letters(HEX, 64, rng)
        ),
        2 => format!("  uid: {}", uuid(rng)),
        3 => format!(
            "{{\"level\":\"info\",\"trace_id\":\"{}\",\"msg\":\"handled\",\"status\":200}}",
            letters(HEX, 32, rng)
        ),
        4 => "    resources: {limits: {cpu: 500m, memory: 256Mi}, requests: {cpu: 100m}}".to_owned(),
        5 => "  serviceAccountName: web".to_owned(),
        6 => format!(
            "Normal  Scheduled  3m  default-scheduler  assigned dev/{pod} to node-{}",
            rng.random_range(0..99)
        ),
        7 => "        - mountPath: /var/run/secrets/kubernetes.io/serviceaccount".to_owned(),
        _ => format!(
            "E0301 12:00:00 reflector.go:150] failed to list *v1.Secret: secrets is forbidden for {pod}"
        ),
    }
}

/// Fills a text of the corpus; its letters are explained in its first lines.
fn fill(template: &str, rng: &mut StdRng) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let tail = &rest[open..];
        let said = tail.get(1..tail.find('}').unwrap_or(1)).unwrap_or_default();
        let made = match said.split_once(':') {
            Some((set, n)) => n.parse().ok().and_then(|n| {
                Some(match set {
                    "A" => letters(ALNUM, n, rng),
                    "l" => letters("abcdefghijklmnopqrstuvwxyz0123456789", n, rng),
                    "U" => letters("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", n, rng),
                    "h" => letters(HEX, n, rng),
                    "d" => letters("0123456789", n, rng),
                    "w" => letters(&format!("{ALNUM}_"), n, rng),
                    "u" => letters(&format!("{ALNUM}-_"), n, rng),
                    "b" => letters(&format!("{ALNUM}+/"), n, rng),
                    _ => return None,
                })
            }),
            None if said == "uuid" => Some(uuid(rng)),
            None if said == "jwt" => Some(format!(
                "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.{}",
                letters(ALNUM, 80, rng)
            )),
            None => None,
        };
        match made {
            Some(made) => {
                out.push_str(&made);
                rest = tail.get(said.len() + 2..).unwrap_or_default();
            }
            None => {
                out.push('{');
                rest = tail.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// Runs detect-secrets in an environment of its own, which stays in the cache.
async fn peer(file: &Path, planted: &BTreeSet<u64>) -> Result<Peer> {
    let home = peer_home().await?;
    let (folder, name) = file.parent().zip(file.file_name()).context("it is no file")?;
    let start = Instant::now();
    // What does not lie in its own folder it leaves out, and says nothing.
    let output = Command::new(home.join("bin/detect-secrets"))
        .args(["scan", "--no-verify", "--all-files"])
        .arg(name)
        .current_dir(folder)
        .output()
        .await?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let said: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let finds = said["results"]
        .as_object()
        .into_iter()
        .flat_map(|files| files.values());
    let marked: BTreeSet<u64> = finds
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|find| find["line_number"].as_u64())
        .collect();
    ensure!(!marked.is_empty(), "{PEER} looked at nothing: {said}");
    Ok(Peer {
        version: said["version"].as_str().unwrap_or("?").to_owned(),
        milliseconds,
        share: share(planted, &marked),
        others: marked.difference(planted).count(),
    })
}

async fn peer_home() -> Result<PathBuf> {
    let home = crate::build::Cache::locate()?
        .programs()
        .join(PEER.replace("==", "-"));
    if home.join("bin/detect-secrets").exists() {
        return Ok(home);
    }
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&home)
        .output()
        .await?;
    ensure!(made.status.success(), "python3 has no venv");
    let pip = Command::new(home.join("bin/pip"))
        .args(["install", "-q", PEER])
        .output()
        .await?;
    ensure!(pip.status.success(), "{}", String::from_utf8_lossy(&pip.stderr));
    Ok(home)
}
