//! What ships as text: every example is taken by the API server, every field says what it is.
//!
//! The first line of an example names who applies it (`# user: alice`); `*.template.yaml` needs something filled in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::tools::{POLICY, WORK, kubectl_ok};
use crate::runner::{Ctx, Test, shared};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

pub(crate) fn tests() -> Vec<Test> {
    shared![
        every_example_is_accepted_as_its_user,
        kubectl_explains_every_field_of_every_kind,
    ]
}

fn is_template(file: &Path) -> bool {
    file.to_string_lossy().ends_with(".template.yaml")
}

fn manifests(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            manifests(&path, found)?;
        } else if path.extension().is_some_and(|kind| kind == "yaml") && !is_template(&path) {
            found.push(path);
        }
    }
    Ok(())
}

async fn every_example_is_accepted_as_its_user(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let mut files = vec![];
    manifests(Path::new(EXAMPLES), &mut files)?;
    ensure!(!files.is_empty(), "there are no examples");
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let user = text.lines().next().and_then(|line| line.strip_prefix("# user: "));
        let user = user.with_context(|| format!("{} does not name its user", file.display()))?;
        let args = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        kubectl_ok(&ctx.cluster, user, &args, &text)
            .await
            .with_context(|| file.display().to_string())?;
    }
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
