//! What ships as text: every example is taken by the API server, every field says what it is.
//!
//! The first line of an example names who applies it (`# user: alice`); `*.template.yaml` needs something filled in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::tools::{POLICY, PUBLIC_KEY, WORK, kubectl_ok};
use super::turn::plan_for;
use crate::runner::{Ctx, Test, shared};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

const DEMO: &str = "demo";

pub(crate) fn tests() -> Vec<Test> {
    shared![
        every_example_is_accepted_as_its_user,
        every_template_is_accepted_once_it_is_filled_in,
        kubectl_explains_every_field_of_every_kind,
    ]
}

fn is_template(file: &Path) -> bool {
    file.to_string_lossy().ends_with(".template.yaml")
}

fn manifests(folder: &Path, templates: bool, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            manifests(&path, templates, found)?;
        } else if path.extension().is_some_and(|kind| kind == "yaml") && is_template(&path) == templates {
            found.push(path);
        }
    }
    Ok(())
}

/// Who applies it: the first word after `# user:`.
fn user_of(text: &str) -> Option<&str> {
    let line = text.lines().next()?.strip_prefix("# user: ")?;
    line.split_whitespace().next()
}

async fn every_example_is_accepted_as_its_user(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let mut files = vec![];
    manifests(Path::new(EXAMPLES), false, &mut files)?;
    ensure!(!files.is_empty(), "there are no examples");
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let user = user_of(&text).with_context(|| format!("{} does not name its user", file.display()))?;
        let args = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        kubectl_ok(&ctx.cluster, user, &args, &text)
            .await
            .with_context(|| file.display().to_string())?;
    }
    Ok(())
}

async fn every_template_is_accepted_once_it_is_filled_in(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let alice = ctx.client("alice").await?;
    // What the templates speak of: a plan that waits, and the session of the example.
    let plan = plan_for(&alice, DEMO, "scale nginx to 4 replicas").await?;
    let session = std::fs::read_to_string(Path::new(EXAMPLES).join("session/session.yaml"))?;
    kubectl_ok(&ctx.cluster, "alice", &["apply", "-f", "-"], &session).await?;
    let tomorrow = Timestamp::now() + Duration::from_secs(24 * 3600);
    let fill = |text: &str| {
        text.replace("name: PLAN", &format!("name: {}", plan.name_any()))
            .replace("planDigest: DIGEST", &format!("planDigest: {}", plan.spec.digest))
            .replace("publicKey: PUBLIC_KEY", &format!("publicKey: {PUBLIC_KEY}"))
            .replace(
                "notAfter: NOT_AFTER",
                &format!("notAfter: {}", tomorrow.strftime("%Y-%m-%dT%H:%M:%SZ")),
            )
    };
    let mut files = vec![];
    manifests(Path::new(EXAMPLES), true, &mut files)?;
    let mut ours = 0;
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        if !text.contains("\napiVersion: kubechat.io/") {
            continue;
        }
        ours += 1;
        // Those that no person of the story applies are a pipeline's, or an administrator's.
        let by_role = if text.contains("kind: ChatRequest") {
            "alice"
        } else {
            "admin"
        };
        let args = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
        kubectl_ok(
            &ctx.cluster,
            user_of(&text).unwrap_or(by_role),
            &args,
            &fill(&text),
        )
        .await
        .with_context(|| file.display().to_string())?;
    }
    ensure!(ours >= 6, "only {ours} templates were found");
    kubectl_ok(&ctx.cluster, "alice", &["delete", "-f", "-"], &session).await?;
    Ok(())
}

async fn kubectl_explains_every_field_of_every_kind(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let work = WORK.iter().map(|(_, resource)| *resource);
    for resource in work.chain(POLICY.iter().map(|(_, resource, _)| *resource)) {
        let (said, _) = kubectl_ok(&ctx.cluster, "alice", &["explain", resource], "").await?;
        ensure!(
            said.contains("DESCRIPTION:") && !said.contains("<empty>"),
            "{resource}: {said}"
        );
    }
    let (prompt, _) = kubectl_ok(&ctx.cluster, "alice", &["explain", "chatrequest.spec.prompt"], "").await?;
    ensure!(prompt.contains("The sentence, at most 16 KiB"), "{prompt}");
    undescribed(&ctx).await
}

/// Every property of every schema that the API server publishes for our group.
async fn undescribed(ctx: &Ctx) -> Result<()> {
    let request = http::Request::get("/openapi/v3/apis/kubechat.io/v1beta1").body(Vec::new())?;
    let schema: serde_json::Value = ctx.client("alice").await?.request(request).await?;
    let all = schema
        .pointer("/components/schemas")
        .and_then(|all| all.as_object())
        .context("no schemas")?;
    let ours = all
        .iter()
        .filter(|(name, _)| name.starts_with("io.kubechat.") && !name.ends_with("List"));
    let (mut fields, mut empty) = (0, vec![]);
    for (name, schema) in ours {
        walk(name, schema, &mut fields, &mut empty);
    }
    ensure!(fields > 300, "only {fields} fields were found");
    ensure!(empty.is_empty(), "no description: {empty:#?}");
    Ok(())
}

fn walk(path: &str, schema: &serde_json::Value, fields: &mut usize, empty: &mut Vec<String>) {
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, property) in properties {
        let path = format!("{path}.{name}");
        *fields += 1;
        let described = property["description"]
            .as_str()
            .or_else(|| property.pointer("/allOf/0/$ref")?.as_str());
        if described.is_none_or(str::is_empty) {
            empty.push(path.clone());
        }
        walk(&path, property, fields, empty);
        walk(&path, &property["items"], fields, empty);
    }
}
