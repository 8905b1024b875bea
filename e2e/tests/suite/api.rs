//! What the API server itself makes of the kinds as they are installed: columns, fields to select by, the first status.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::{Client, ResourceExt};
use kubechat_crds::{ChatRequestSpec, LocalRef};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::tools::{PUBLIC_KEY, at, object, raw, refused, says_prompt};
use super::turn::{SOON, ask, ask_with, ended, ended_turn, waiting_plan};
use crate::runner::{Ctx, Test, shared};

pub(crate) fn tests() -> Vec<Test> {
    shared![
        kubectl_get_shows_the_columns_of_each_kind_and_each_is_filled,
        objects_are_selected_by_the_fields_meant_for_it_and_by_no_other,
        a_new_object_says_that_nobody_has_looked_at_it,
    ]
}

/// Columns of `kubectl get`, and those that only `-o wide` adds.
const COLUMNS: [(&str, &[&str], &[&str]); 8] = [
    (
        "ChatRequest",
        &["Name", "Phase", "Risk", "Approvals", "Plan", "Requester", "Age"],
        &["Prompt", "Answer"],
    ),
    (
        "ChatSession",
        &["Name", "Phase", "Turns", "Requester", "Age"],
        &["Title", "Expires"],
    ),
    (
        "CommandPlan",
        &["Name", "Phase", "Risk", "Score", "Approvals", "Requester", "Age"],
        &["First step", "Expires"],
    ),
    (
        "Approval",
        &["Name", "Plan", "Decision", "Accepted", "By", "Age"],
        &["Reason"],
    ),
    ("RiskPolicy", &["Name", "Ready", "Suspend", "Age"], &["Message"]),
    (
        "AuditPolicy",
        &["Name", "Ready", "Integrity", "Age"],
        &["Message"],
    ),
    (
        "AIProvider",
        &["Name", "Type", "Ready", "Egress", "Score", "Age"],
        &["Message"],
    ),
    (
        "ApproverKey",
        &["Name", "User", "Ready", "Not after", "Age"],
        &["Revoked"],
    ),
];

/// Fields by which the objects of a kind can be selected.
const SELECTABLE: [(&str, &[&str]); 8] = [
    (
        "ChatRequest",
        &["spec.requester.username", "spec.sessionRef.name", "status.phase"],
    ),
    ("ChatSession", &["spec.requester.username", "status.phase"]),
    (
        "CommandPlan",
        &["spec.requester.username", "spec.digest", "status.phase"],
    ),
    (
        "Approval",
        &[
            "spec.submittedBy.username",
            "spec.planRef.name",
            "spec.planDigest",
        ],
    ),
    ("RiskPolicy", &[]),
    ("AuditPolicy", &[]),
    ("AIProvider", &[]),
    ("ApproverKey", &["spec.username"]),
];

async fn create(
    person: &Client,
    namespace: &str,
    kind: &str,
    name: &str,
    spec: &Value,
) -> Result<DynamicObject> {
    let api = raw(person, kind, namespace);
    let made = object(kind, name, spec)?;
    Ok(api.create(&PostParams::default(), &made).await?)
}

/// An object of each kind, its life behind it: its name by kind.
async fn one_of_each(ctx: &Ctx, namespace: &str) -> Result<impl Fn(&str) -> String> {
    let (alice, admin) = (ctx.client("alice").await?, ctx.client("admin").await?);
    create(
        &alice,
        namespace,
        "ChatSession",
        "talk",
        &json!({"title": "columns"}),
    )
    .await?;
    let spec = ChatRequestSpec {
        session_ref: Some(LocalRef::new("talk")),
        ..says_prompt("scale nginx to 3 replicas")
    };
    let turn = ask_with(&alice, namespace, spec).await?;
    let plan = waiting_plan(&alice, &turn).await?;
    let no = json!({
        "planRef": {"name": plan.name_any()}, "planDigest": plan.spec.digest, "decision": "Deny", "reason": "not now",
    });
    let no = create(&ctx.client("bob").await?, namespace, "Approval", "no-", &no).await?;
    let no = no.name_any();
    ended(&alice, &plan).await?;
    ended_turn(&alice, &turn).await?;
    let key = format!("key-of-{namespace}");
    let spec = json!({
        "username": namespace, "publicKey": PUBLIC_KEY, "notAfter": "2099-01-01T00:00:00Z",
        "revokedAt": "2026-01-01T00:00:00Z",
    });
    create(&admin, namespace, "ApproverKey", &key, &spec).await?;
    Ok(move |kind: &str| match kind {
        "ChatRequest" => turn.name_any(),
        "ChatSession" => "talk".to_owned(),
        "CommandPlan" => plan.name_any(),
        "Approval" => no.clone(),
        "RiskPolicy" => "baseline".to_owned(),
        "AuditPolicy" => "default".to_owned(),
        "AIProvider" => "rules".to_owned(),
        _ => key.clone(),
    })
}

/// An object as kubectl asks for it: the names of the columns, those of `-o wide`, and the cells by column.
struct Row {
    usual: Vec<String>,
    wide: Vec<String>,
    cells: Vec<(String, Value)>,
}

async fn row(client: &Client, api: &Api<DynamicObject>, name: &str) -> Result<Row> {
    let request = http::Request::get(format!("{}/{name}", api.resource_url()))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())?;
    let table: Value = client.request(request).await?;
    let columns = table["columnDefinitions"].as_array().context("it is no table")?;
    let named = |of: &Value| of["name"].as_str().unwrap_or_default().to_owned();
    let with = |wide: bool| {
        let some = columns.iter().filter(|column| (column["priority"] != 0) == wide);
        some.map(named).collect()
    };
    let cells = at(&table, "/rows/0/cells");
    let cells = cells.as_array().context("it has no row")?;
    Ok(Row {
        usual: with(false),
        wide: with(true),
        cells: columns.iter().map(named).zip(cells.iter().cloned()).collect(),
    })
}

async fn kubectl_get_shows_the_columns_of_each_kind_and_each_is_filled(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("columns").await?;
    let admin = ctx.client("admin").await?;
    let name_of = one_of_each(&ctx, &namespace).await?;
    for (kind, usual, wide) in COLUMNS {
        let api = raw(&admin, kind, &namespace);
        // What controllers fill in may take a moment.
        eventually(SOON, &format!("the columns of {kind} are filled"), || async {
            let row = row(&admin, &api, &name_of(kind)).await?;
            ensure!(
                row.usual == usual && row.wide == wide,
                "{kind} has {:?}, and with -o wide {:?}",
                row.usual,
                row.wide
            );
            // A change has no answer, and the built-in rules are not probed.
            let empty = |(column, cell): &&(String, Value)| {
                let may_be = [("ChatRequest", "Answer"), ("AIProvider", "Score")];
                (cell.is_null() || cell == "") && !may_be.contains(&(kind, column.as_str()))
            };
            let empty: Vec<_> = row.cells.iter().filter(empty).collect();
            ensure!(empty.is_empty(), "{kind}: these are empty: {empty:?}");
            Ok(())
        })
        .await?;
    }
    let alice = ctx.client("alice").await?;
    let read = ended_turn(&alice, &ask(&alice, &namespace, "how many pods are there").await?).await?;
    let row = row(&alice, &raw(&alice, "ChatRequest", &namespace), &read.name_any()).await?;
    let answer = row.cells.iter().find(|(column, _)| column == "Answer");
    let answer = answer.and_then(|(_, cell)| cell.as_str()).unwrap_or_default();
    ensure!(answer.contains("2 pods"), "the answer is {answer:?}");
    Ok(())
}

async fn objects_are_selected_by_the_fields_meant_for_it_and_by_no_other(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("selected").await?;
    let admin = ctx.client("admin").await?;
    let name_of = one_of_each(&ctx, &namespace).await?;
    for (kind, fields) in SELECTABLE {
        let api = raw(&admin, kind, &namespace);
        let name = name_of(kind);
        for field in fields {
            let pointer = format!("/{}", field.replace('.', "/"));
            let stored = eventually(SOON, &format!("{kind} has {field}"), || async {
                let value = at(&api.get(&name).await?.data, &pointer);
                value.as_str().map(str::to_owned).context("it has none")
            })
            .await?;
            let selected = |value: &str| ListParams::default().fields(&format!("{field}={value}"));
            let found = api.list(&selected(&stored)).await?.items;
            ensure!(
                found.iter().any(|one| one.name_any() == name)
                    && found.iter().all(|one| at(&one.data, &pointer) == stored.as_str()),
                "{kind} by {field}={stored}: {:?}",
                found.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
            );
            let none = api.list(&selected("no-such-value")).await?.items;
            ensure!(none.is_empty(), "{kind} by {field}: {} are left", none.len());
        }
        let other = ListParams::default().fields("metadata.generation=1");
        let what = format!("{kind} by a field that is not meant for it");
        refused(&what, api.list(&other).await, 400, &["field label not supported"])?;
    }
    Ok(())
}

async fn a_new_object_says_that_nobody_has_looked_at_it(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("unseen").await?;
    let alice = ctx.client("alice").await?;
    for (kind, spec) in [
        ("ChatSession", json!({})),
        ("ChatRequest", json!({"prompt": "list pods"})),
    ] {
        let made = create(&alice, &namespace, kind, "fresh", &spec).await?;
        let seen = at(&made.data, "/status/observedGeneration");
        ensure!(seen == -1, "{kind}: it says {seen}");
    }
    Ok(())
}
