//! What is asked about revisions, fields, rights and use, and what is found.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kubechat_crds::RequestPhase;
use kubechat_crds::chat_request::Answer;
use kubechat_e2e::demo::DEPLOYMENT;
use kubechat_e2e::wait::eventually;
use serde_json::json;

use super::tools::{ends_as, says_prompt, status_of};
use super::turn::{LATER, says};
use crate::runner::{Ctx, Test, shared};

use super::reads::{answer, column};

pub(crate) fn tests() -> Vec<Test> {
    shared![
        revisions_objects_rights_and_use_are_asked_about,
        fields_are_explained_objects_found_and_a_manifest_compared_and_no_value_is_found_by_asking,
    ]
}

async fn revisions_objects_rights_and_use_are_asked_about(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let (namespace, other) = (ctx.namespace("asked").await?, ctx.namespace("beside").await?);
    let alice = ctx.client("alice").await?;
    let deployments: Api<Deployment> = Api::namespaced(alice.clone(), &namespace);
    let image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "nginx", "image": "nginx:1.99"}]}}}});
    deployments
        .patch(DEPLOYMENT, &PatchParams::default(), &Patch::Strategic(&image))
        .await?;
    eventually(LATER, "the second revision is there", || async {
        let history = answer(&alice, &namespace, "rollout history of nginx").await?;
        let table = history.table.context("it has no table")?;
        ensure!(column(&table, "Revision")? == ["1", "2"], "{table:?}");
        ensure!(column(&table, "State")? == ["", "now"], "{table:?}");
        Ok(())
    })
    .await?;
    let changed = answer(&alice, &namespace, "diff revision 1 and 2 of nginx").await?;
    let table = changed.table.context("it has no table")?;
    ensure!(
        table
            .rows
            .iter()
            .any(|row| row.last().is_some_and(|cell| cell == "nginx:1.99")),
        "{table:?}"
    );
    ends_as(
        &alice,
        &namespace,
        says_prompt("diff revision 1 and 9 of nginx"),
        RequestPhase::NeedsInput,
        "NeedsInput",
    )
    .await?;

    let same = says_prompt("compare deployment nginx with deployment nginx");
    let (_, said) = ends_as(&alice, &namespace, same, RequestPhase::NeedsInput, "NeedsInput").await?;
    says(&said, &["is one object"])?;
    let two = answer(
        &alice,
        &namespace,
        "compare configmap nginx-conf with configmap kube-root-ca.crt",
    )
    .await?;
    let two = two.table.context("two ConfigMaps do not differ")?;
    let values: Vec<_> = two
        .rows
        .iter()
        .filter(|row| row[0].starts_with("/data/"))
        .collect();
    let hidden = |cell: &String| cell == "(masked)" || cell == "<none>";
    ensure!(
        !values.is_empty() && values.iter().all(|row| row[1..].iter().all(hidden)),
        "{two:?}"
    );
    // Another namespace is as out of bounds as for any other read.
    let outside = format!("compare deployment nginx in {namespace} and {other}");
    ends_as(
        &alice,
        &namespace,
        says_prompt(&outside),
        RequestPhase::Blocked,
        "OutOfScope",
    )
    .await?;

    for (who, prompt, said) in [
        (
            "alice",
            "can I delete deployments?",
            "Yes: alice may delete deployments.apps",
        ),
        (
            "alice",
            "am I allowed to scale deployments",
            "Yes: alice may patch deployments/scale.apps",
        ),
        (
            "dave",
            "can I delete deployments?",
            "No: dave may not delete deployments.apps",
        ),
    ] {
        let person = ctx.client(who).await?;
        let right = answer(&person, &namespace, prompt).await?;
        says(&right.text, &[said]).context(prompt)?;
    }
    let (_, unmeasured) = ends_as(
        &alice,
        &namespace,
        says_prompt("top pods"),
        RequestPhase::Failed,
        "NotSupported",
    )
    .await?;
    says(&unmeasured, &["metrics.k8s.io"])?;
    Ok(())
}

async fn fields_are_explained_objects_found_and_a_manifest_compared_and_no_value_is_found_by_asking(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("lookups").await?;
    let (alice, dave) = (ctx.client("alice").await?, ctx.client("dave").await?);
    let table = |answer: Answer| answer.table.context("it has no table");

    let explained = answer(&dave, &namespace, "explain deployment.spec.strategy").await?;
    says(
        &explained.text,
        &["Deployment.spec.strategy", "DeploymentStrategy"],
    )?;
    let fields = table(explained)?;
    ensure!(column(&fields, "Field")?.contains(&"rollingUpdate"), "{fields:?}");
    let typo = says_prompt("explain deployment.spec.replicos");
    let (turn, said) = ends_as(&dave, &namespace, typo, RequestPhase::NeedsInput, "NeedsInput").await?;
    says(&said, &["has no field replicos"])?;
    ensure!(status_of(&turn).answer.is_some_and(|a| !a.candidates.is_empty()));

    let found = table(answer(&alice, &namespace, "find everything that uses image nginx").await?)?;
    ensure!(column(&found, "Kind")?.contains(&"Deployment"), "{found:?}");
    let owned = table(answer(&alice, &namespace, "find pods owned by deployment nginx").await?)?;
    ensure!(
        column(&owned, "Kind")?.iter().all(|kind| *kind == "Pod") && owned.total == 2,
        "{owned:?}"
    );
    let secrets: Api<Secret> = Api::namespaced(alice.clone(), &namespace);
    let secret = json!({"metadata": {"name": "asked"}, "stringData": {"word": "swordfish"}});
    let created = serde_json::from_value(secret)?;
    secrets.create(&PostParams::default(), &created).await?;
    let asked = answer(&alice, &namespace, "find everything that contains swordfish").await?;
    ensure!(asked.table.is_none(), "a value was found by asking: {asked:?}");

    let live: Deployment = Api::namespaced(alice.clone(), &namespace).get(DEPLOYMENT).await?;
    let manifest = "diff this with what is running\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: nginx}\nspec: {minReadySeconds: 7}\n";
    let compared = table(answer(&alice, &namespace, manifest).await?)?;
    ensure!(
        column(&compared, "Field")?.contains(&"/spec/minReadySeconds"),
        "{compared:?}"
    );
    let after: Deployment = Api::namespaced(alice.clone(), &namespace).get(DEPLOYMENT).await?;
    ensure!(after.spec == live.spec, "a diff changed something");
    let absent = manifest.replace("name: nginx", "name: absent");
    says(
        &answer(&alice, &namespace, &absent).await?.text,
        &["is not there"],
    )
}
