//! Rules of the whole workspace that no compiler checks: which crate may use which, what never stands in a source, how
//! long a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Longest source file, in lines.
const MAX_LINES: usize = 520;
/// Longest map of the workspace, in lines.
const MAX_MAP_LINES: usize = 200;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn packages() -> Result<Vec<Package>> {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    Ok(command.exec()?.packages)
}

/// Our crates, and for each of them which others of ours it may use.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("kubechat-crds", &[] as &[&str]),
        ("kubechat-core", &["kubechat-crds"]),
        ("kubechat-ai", &["kubechat-core", "kubechat-crds"]),
        ("kubechat-audit", &[]),
        ("kubechat-webhook", &["kubechat-core", "kubechat-crds"]),
        (
            "kubechat-operator",
            &[
                "kubechat-ai",
                "kubechat-audit",
                "kubechat-core",
                "kubechat-crds",
                "kubechat-webhook",
            ],
        ),
        ("kubechat-e2e", &["kubechat-crds"]),
    ])
}

#[test]
fn crates_use_each_other_in_one_direction_only() -> Result<()> {
    let allowed = allowed();
    let packages = packages()?;
    let names: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        allowed.keys().copied().collect(),
        "a crate without a rule, or a rule without a crate"
    );
    for package in &packages {
        let used = package
            .dependencies
            .iter()
            .filter(|d| names.contains(d.name.as_str()));
        for used in used {
            let name = package.name.as_str();
            let may = allowed[name].contains(&used.name.as_str());
            assert!(may, "{name} must not use {} ({:?})", used.name, used.kind);
        }
    }
    Ok(())
}

/// What a crate is really linked with, features and all.
fn tree(package: &str) -> Result<BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
            package,
        ])
        .current_dir(root())
        .output()
        .context("cargo does not run")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

#[test]
fn pure_crates_are_linked_with_no_network_no_cluster_and_no_runtime() -> Result<()> {
    let impure = [
        "async-trait",
        "axum",
        "hyper",
        "hyper-util",
        "kube-client",
        "kube-runtime",
        "mio",
        "rand",
        "reqwest",
        "rusqlite",
        "rustls",
        "socket2",
        "tokio",
        "tokio-util",
        "tower",
        "tracing-subscriber",
    ];
    for package in ["kubechat-crds", "kubechat-core"] {
        let linked = tree(package)?;
        assert!(
            linked.contains("serde"),
            "the tree of {package} cannot be read: {linked:?}"
        );
        let found: Vec<_> = impure.iter().filter(|name| linked.contains(**name)).collect();
        assert!(found.is_empty(), "{package} is linked with {found:?}");
    }
    Ok(())
}

#[test]
fn the_audit_log_and_the_webhook_cannot_reach_what_they_judge() -> Result<()> {
    assert!(
        !tree("kubechat-audit")?.contains("kube-client"),
        "the audit log talks to no cluster"
    );
    assert!(
        !tree("kubechat-ai")?.contains("kube-client"),
        "what talks to models talks to no cluster"
    );
    assert!(
        !tree("kubechat-webhook")?.contains("rusqlite"),
        "the webhook never writes the log"
    );
    Ok(())
}

#[test]
fn no_yaml_crate_that_is_not_maintained() -> Result<()> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock"))?;
    for name in ["serde_yaml", "serde_yml"] {
        assert!(
            !lock.contains(&format!("name = \"{name}\"")),
            "{name} is used; use serde-saphyr"
        );
    }
    Ok(())
}

/// Every source file of these folders, with its path from the root.
fn sources(folders: &[&str]) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root())?.display().to_string();
            found.push((name, std::fs::read_to_string(&path)?));
        }
    }
    ensure!(!found.is_empty(), "no sources in {folders:?}");
    Ok(found)
}

/// Lines that hold one of these, as `file:line`.
fn lines_with(sources: &[(String, String)], words: &[&str]) -> Vec<String> {
    let with = |line: &str| words.iter().any(|word| line.contains(word));
    let of = |(name, text): &(String, String)| {
        let lines = text.lines().enumerate().filter(|(_, line)| with(line));
        lines
            .map(|(at, line)| format!("{name}:{}: {}", at + 1, line.trim()))
            .collect::<Vec<_>>()
    };
    sources.iter().flat_map(of).collect()
}

const PRODUCT: [&str; 6] = [
    "crds/src",
    "operator/src",
    "operator/core/src",
    "operator/ai/src",
    "operator/audit/src",
    "webhook/src",
];

#[test]
fn the_product_starts_no_other_program() -> Result<()> {
    let words = [
        "process::Command",
        "tokio::process",
        "CommandExt",
        "posix_spawn",
        "execve",
    ];
    assert_eq!(lines_with(&sources(&PRODUCT)?, &words), [""; 0]);
    // Without web sockets its client can neither run anything in a pod nor attach to one.
    let linked = tree("kubechat-operator")?;
    assert!(linked.contains("kube-client"), "{linked:?}");
    for way in ["tokio-tungstenite", "tungstenite"] {
        assert!(!linked.contains(way), "the product is linked with {way}");
    }
    Ok(())
}

#[test]
fn nothing_but_the_prompt_of_a_turn_is_read_as_a_request() -> Result<()> {
    // No log, event, annotation or answer ever comes to the interpreter: it is called with what admission sealed.
    let product: Vec<_> = sources(&PRODUCT)?.into_iter().filter_map(without_tests).collect();
    let calls = lines_with(&product, &["interpret::interpret(", "interpret::interpret;"]);
    let places = [
        ("operator/src/compile/mod.rs:", "(&turn.request.spec.prompt, "),
        (
            "operator/src/controllers/turn/model.rs:",
            "(&request.spec.prompt, ",
        ),
        ("operator/src/interpreter.rs:", "(&turn.spec.prompt, "),
        // Of a Sentence, whose prompt is below.
        ("operator/src/models/given.rs:", "(prompt, "),
    ];
    let known = |call: &String| {
        places
            .iter()
            .any(|(at, of)| call.starts_with(at) && call.contains(of))
    };
    assert!(calls.iter().all(known), "{calls:?}");
    assert_eq!(calls.len(), places.len(), "{calls:?}");
    let given = lines_with(&product, &["prompt: &"]);
    let given: Vec<_> = given
        .iter()
        .filter(|line| !line.contains("prompt: &str") && !line.contains("prompt: &'"))
        .collect();
    assert!(
        given
            .iter()
            .all(|line| line.contains("prompt: &request.spec.prompt")),
        "{given:?}"
    );
    Ok(())
}

/// What a source says outside of its tests.
fn without_tests((name, text): (String, String)) -> Option<(String, String)> {
    let of_tests = ["_tests.rs", "/tests.rs", "/testing.rs"];
    if of_tests.iter().any(|end| name.ends_with(end)) || name.contains("/tests/") {
        return None;
    }
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    Some((name, text.to_owned()))
}

#[test]
fn pure_crates_read_no_clock_no_disk_no_network_and_no_environment() -> Result<()> {
    let words = [
        "Timestamp::now",
        "Zoned::now",
        "Instant::now",
        "SystemTime",
        "std::fs",
        "fs::read",
        "fs::write",
        "File::open",
        "std::env",
        "env::var",
        "net::Tcp",
        "net::Udp",
        "ToSocketAddrs",
        "std::thread",
        "std::process",
        "std::io",
        "async fn",
        ".await",
    ];
    // The program that writes the manifests writes files, and nothing else does.
    let (programs, pure): (Vec<_>, Vec<_>) = sources(&["crds/src", "operator/core/src"])?
        .into_iter()
        .filter_map(without_tests)
        .partition(|(name, _)| name == "crds/src/bin/crdgen.rs");
    assert_eq!(lines_with(&pure, &words), [""; 0]);
    let here = lines_with(&programs, &words);
    assert!(!here.is_empty(), "the rule looks for words that nobody uses");
    Ok(())
}

#[test]
fn acting_as_somebody_else_happens_in_one_file() -> Result<()> {
    let words = [
        "auth_info",
        "Impersonate-",
        "impersonate_groups",
        "impersonate_user",
        "impersonate_uid",
    ];
    let elsewhere: Vec<String> = lines_with(&sources(&PRODUCT)?, &words)
        .into_iter()
        .filter(|line| !line.starts_with("operator/src/cluster/impersonate"))
        .collect();
    assert_eq!(elsewhere, [""; 0]);
    let here = lines_with(
        &sources(&["operator/src/cluster/impersonate.rs"])?,
        &["auth_info.impersonate"],
    );
    assert!(!here.is_empty(), "the rule looks for words that nobody uses");
    Ok(())
}

#[test]
fn no_file_is_too_long() -> Result<()> {
    let all = sources(&["crds", "operator", "webhook", "e2e/src", "e2e/tests"])?;
    let long: Vec<String> = all
        .iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    assert_eq!(long, [""; 0]);
    if let Ok(map) = std::fs::read_to_string(root().join("ARCHITECTURE.md")) {
        let lines = map.lines().count();
        assert!(lines <= MAX_MAP_LINES, "ARCHITECTURE.md has {lines} lines");
    }
    Ok(())
}

#[test]
fn development_dependencies_do_not_leak_into_the_product() -> Result<()> {
    for package in packages()?.iter().filter(|p| p.name.as_str() != "kubechat-e2e") {
        let leaked = package.dependencies.iter().find(|d| {
            d.kind == DependencyKind::Normal
                && [
                    "proptest",
                    "pty-process",
                    "tempfile",
                    "tower-test",
                    "libtest-mimic",
                ]
                .contains(&d.name.as_str())
        });
        assert!(
            leaked.is_none(),
            "{} links {:?}",
            package.name,
            leaked.map(|d| &d.name)
        );
    }
    Ok(())
}
