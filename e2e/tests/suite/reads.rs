//! Reads: answered at once, live, with the requester's rights and nothing more.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kubechat_crds::chat_request::{Answer, Table};
use kubechat_crds::{CommandPlan, RequestPhase};
use kubechat_e2e::demo::DEPLOYMENT;
use kubechat_e2e::wait::eventually;
use serde_json::json;

use super::kubelet::Kubelet;
use super::tools::{ends_as, entries_of, says_prompt, status_of};
use super::turn::{LATER, SOON, ask, ended_turn, says};
use crate::runner::{Ctx, Test, shared};

pub(crate) fn tests() -> Vec<Test> {
    shared![
        lists_and_counts_answer_with_what_is_there,
        one_object_is_shown_described_and_its_events_and_logs_read,
        logs_are_those_of_the_container_lines_and_time_asked_for_and_tell_no_secret,
        a_rollout_says_how_far_it_is,
        one_who_may_only_look_gets_answers_and_no_plan,
        values_of_secrets_and_of_env_are_never_shown,
        every_answer_is_recorded_as_a_read_of_the_requester,
    ]
}

/// Asks as somebody and returns the answer.
pub(super) async fn answer(person: &Client, namespace: &str, prompt: &str) -> Result<Answer> {
    let (turn, _) = ends_as(
        person,
        namespace,
        says_prompt(prompt),
        RequestPhase::Succeeded,
        "Answered",
    )
    .await?;
    let status = status_of(&turn);
    ensure!(status.plan_ref.is_none(), "{prompt}: a read became a plan");
    let interpretation = status
        .interpretation
        .with_context(|| format!("{prompt}: not said what was understood"))?;
    ensure!(
        interpretation.provider == "rules" && !interpretation.understood.is_empty(),
        "{interpretation:?}"
    );
    status.answer.with_context(|| format!("{prompt}: no answer"))
}

/// Cells of a column.
pub(super) fn column<'a>(table: &'a Table, title: &str) -> Result<Vec<&'a str>> {
    let at = table.columns.iter().position(|column| column == title);
    let at = at.with_context(|| format!("there is no {title} in {:?}", table.columns))?;
    Ok(table
        .rows
        .iter()
        .filter_map(|row| row.get(at))
        .map(String::as_str)
        .collect())
}

async fn lists_and_counts_answer_with_what_is_there(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("list").await?;
    let alice = ctx.client("alice").await?;
    let table = |answer: Answer| answer.table.context("it has no table");

    let pods = answer(&alice, &namespace, "list pods").await?;
    says(&pods.first_line, &["2 pods", &namespace])?;
    let pods = table(pods)?;
    ensure!(
        pods.total == 2 && pods.rows.len() == 2 && pods.continue_.is_none(),
        "{pods:?}"
    );
    ensure!(
        column(&pods, "Name")?
            .iter()
            .all(|name| name.starts_with("nginx-")),
        "{pods:?}"
    );
    ensure!(column(&pods, "Status")? == ["Running", "Running"], "{pods:?}");

    let deployments = table(answer(&alice, &namespace, "what deployments are there").await?)?;
    ensure!(column(&deployments, "Ready")? == ["2/2"], "{deployments:?}");
    let selected = table(answer(&alice, &namespace, "list pods with label app=nginx").await?)?;
    ensure!(selected.total == 2, "{selected:?}");
    let none = answer(&alice, &namespace, "list pods with label app=other").await?;
    ensure!(none.table.is_none(), "{none:?}");
    says(&none.text, &["no pods"])?;
    let pasted = table(answer(&alice, &namespace, &format!("kubectl get cm -n {namespace}")).await?)?;
    ensure!(column(&pasted, "Name")?.contains(&"nginx-conf"), "{pasted:?}");
    let both = answer(&alice, &namespace, "list pods and services").await?;
    says(&both.text, &["2 pods", "1 service"])?;

    for (prompt, said) in [
        ("how many pods are there", "2 pods"),
        ("how many pods are running", "2 running pods"),
        ("how many failed pods are there", "no failed pods"),
        ("count services", "1 service"),
        ("are there any jobs", "no jobs"),
    ] {
        let counted = answer(&alice, &namespace, prompt).await?;
        says(&counted.text, &[said]).context(prompt)?;
    }
    Ok(())
}

async fn one_object_is_shown_described_and_its_events_and_logs_read(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("show").await?;
    let alice = ctx.client("alice").await?;
    for (prompt, said) in [
        ("get deployment nginx", vec!["deployment/nginx"]),
        (
            "show deployment nginx as yaml",
            vec!["kind: Deployment", "image: nginx:1.27", "replicas: 2"],
        ),
        (
            "describe deployment nginx",
            vec!["2 of 2 ready", "nginx:1.27", "Events:", "ScalingReplicaSet"],
        ),
        ("describe service nginx", vec!["service/nginx", "ClusterIP", "80"]),
        (
            "describe configmap nginx-conf",
            vec!["configmap/nginx-conf", "nginx.conf"],
        ),
        // The nodes are fake and keep no logs; that too is an answer.
        ("show me the logs of nginx", vec!["pod/nginx-"]),
    ] {
        let shown = answer(&alice, &namespace, prompt).await?;
        says(&shown.text, &said).context(prompt)?;
        let cited = shown
            .citations
            .first()
            .with_context(|| format!("{prompt}: cites nothing"))?;
        ensure!(
            cited.object.namespace.as_ref() == Some(&namespace) && !cited.resource_version.is_empty(),
            "{prompt}: cites {cited:?}"
        );
    }
    for prompt in ["what's happening in NS", "show events for deployment nginx"] {
        let events = answer(&alice, &namespace, &prompt.replace("NS", &namespace)).await?;
        let table = events.table.with_context(|| format!("{prompt}: no table"))?;
        let reasons = column(&table, "Reason")?;
        ensure!(reasons.contains(&"ScalingReplicaSet"), "{prompt}: {reasons:?}");
        let times = column(&table, "Last seen")?;
        ensure!(
            times.is_sorted_by(|a, b| a >= b),
            "{prompt}: not the newest first: {times:?}"
        );
    }
    Ok(())
}

async fn logs_are_those_of_the_container_lines_and_time_asked_for_and_tell_no_secret(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("logs").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    let kubelet = Kubelet::start(&admin, "node-1").await?;
    // Other tests may read logs on that node too.
    let asked_here = || {
        let mut asked = kubelet.asked();
        asked.retain(|path| path.contains(&namespace));
        asked
    };
    let pods: Api<Pod> = Api::namespaced(alice.clone(), &namespace);
    let containers = ["web", "side"].map(|name| json!({"name": name, "image": "i"}));
    let talker: Pod = serde_json::from_value(json!({
        "metadata": {"name": "talker"}, "spec": {"nodeName": "node-1", "containers": containers},
    }))?;
    pods.create(&PostParams::default(), &talker).await?;
    eventually(SOON, "the pod runs", || async {
        let status = pods.get("talker").await?.status.unwrap_or_default();
        ensure!(
            status.phase.as_deref() == Some("Running"),
            "it is {:?}",
            status.phase
        );
        Ok(())
    })
    .await?;
    for (prompt, asked, said, unsaid) in [
        (
            "show me the logs of container web in pod talker",
            vec!["/web?", "tailLines=20", "limitBytes=16384"],
            vec!["last 20 lines", "web now, line 81", "web now, line 99"],
            vec!["line 80", "before", "side"],
        ),
        (
            "kubectl logs talker -c side --tail=5 --since=1h -p",
            vec!["/side?", "tailLines=5", "sinceSeconds=3600", "previous=true"],
            vec!["last 5 lines", "side before, line 96", "side before, line 99"],
            vec!["line 95", "now", "web"],
        ),
    ] {
        let answer = answer(&alice, &namespace, prompt).await?;
        says(&answer.text, &said).context(prompt)?;
        // Who reads the answer need not be one who may read the log.
        says(&answer.text, &["[REDACTED:"]).context(prompt)?;
        for word in [unsaid, vec!["Tr0ub4dor"]].concat() {
            ensure!(
                !answer.text.contains(word),
                "{prompt}: it says {word}: {}",
                answer.text
            );
        }
        let all = asked_here();
        let last = all.last().context("the kubelet was not asked")?;
        says(last, &[&format!("/containerLogs/{namespace}/talker")])?;
        says(last, &asked).context(prompt)?;
    }
    // Which of two is not guessed.
    let unclear = answer(&alice, &namespace, "show me the logs of pod talker").await?;
    says(&unclear.text, &["pod/talker: no log", "web", "side"])?;
    ensure!(
        asked_here().len() == 2,
        "the kubelet was asked {:?}",
        asked_here()
    );
    Ok(())
}

async fn a_rollout_says_how_far_it_is(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("rollout").await?;
    let alice = ctx.client("alice").await?;
    let done = answer(&alice, &namespace, "is the nginx rollout done?").await?;
    says(&done.text, &["deployment/nginx is rolled out", "2 of 2 ready"])?;
    // A paused rollout stays where it is.
    let deployments: Api<Deployment> = Api::namespaced(alice.clone(), &namespace);
    let change = Patch::Merge(
        json!({"spec": {"paused": true, "template": {"metadata": {"labels": {"version": "2"}}}}}),
    );
    deployments
        .patch(DEPLOYMENT, &PatchParams::default(), &change)
        .await?;
    let under_way = answer(&alice, &namespace, "rollout status of nginx").await?;
    says(&under_way.text, &["the rollout of deployment/nginx is paused"])?;
    let resume = Patch::Merge(json!({"spec": {"paused": false}}));
    deployments
        .patch(DEPLOYMENT, &PatchParams::default(), &resume)
        .await?;
    eventually(LATER, "the rollout is said to be done", || async {
        let done = answer(&alice, &namespace, "rollout status of nginx").await?;
        says(&done.text, &["is rolled out"])
    })
    .await
}

async fn one_who_may_only_look_gets_answers_and_no_plan(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("look").await?;
    let dave = ctx.client("dave").await?;
    says(
        &answer(&dave, &namespace, "how many pods are there").await?.text,
        &["2 pods"],
    )?;
    says(
        &answer(&dave, &namespace, "describe deployment nginx").await?.text,
        &["2 of 2 ready"],
    )?;
    let what_if = answer(&dave, &namespace, "what happens if I delete deployment nginx").await;
    // What he may not do is not even tried out for him.
    ensure!(what_if.is_err(), "{what_if:?}");
    ends_as(
        &dave,
        &namespace,
        says_prompt("restart nginx"),
        RequestPhase::Failed,
        "Forbidden",
    )
    .await?;
    let plans: Api<CommandPlan> = Api::namespaced(dave, &namespace);
    ensure!(
        plans.list(&ListParams::default()).await?.items.is_empty(),
        "plans were made"
    );

    let alice = ctx.client("alice").await?;
    let what_if = answer(&alice, &namespace, "what happens if I delete deployment nginx").await?;
    says(&what_if.text, &["destructive", "Nothing was planned or done"])
}

async fn values_of_secrets_and_of_env_are_never_shown(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("values").await?;
    let alice = ctx.client("alice").await?;
    let value = "correct-horse-battery";
    let encoded = BASE64_STANDARD.encode(value);
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "db"}, "stringData": {"password": value}}))?;
    Api::<Secret>::namespaced(alice.clone(), &namespace)
        .create(&PostParams::default(), &secret)
        .await?;
    let env = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "nginx", "env": [{"name": "TOKEN", "value": value}]},
    ]}}}});
    let env = Patch::Strategic(env);
    Api::<Deployment>::namespaced(alice.clone(), &namespace)
        .patch(DEPLOYMENT, &PatchParams::default(), &env)
        .await?;
    for prompt in [
        "show secret db",
        "describe secret db",
        "list secrets",
        "kubectl get secret db -o yaml",
        "kubectl get secret db -o json",
        "kubectl get secrets -o yaml",
        "show deployment nginx as yaml",
        "kubectl get deployment nginx -o json",
        "kubectl get deployments -o yaml",
        "describe deployment nginx",
        "delete secret db",
        "delete deployment nginx",
        "set the image of nginx to nginx:1.28",
        "show me the password in secret db",
        "decode secret db",
    ] {
        let turn = ask(&alice, &namespace, prompt).await?;
        let turn = eventually(LATER, prompt, || async {
            let turns: Api<kubechat_crds::ChatRequest> = Api::namespaced(alice.clone(), &namespace);
            let turn = turns
                .get(turn.metadata.name.as_deref().unwrap_or_default())
                .await?;
            ensure!(
                super::tools::is_over(&turn) || status_of(&turn).plan_ref.is_some(),
                "{:?}",
                turn.status
            );
            Ok(turn)
        })
        .await?;
        let mut all = serde_json::to_string(&turn)?;
        if let Some(plan) = status_of(&turn).plan_ref {
            let plans: Api<CommandPlan> = Api::namespaced(alice.clone(), &namespace);
            all.push_str(&serde_json::to_string(&plans.get(&plan.name).await?)?);
        }
        all.push_str(&serde_json::to_string(&entries_of(product, &turn).await?)?);
        for shown in [value, encoded.as_str()] {
            ensure!(!all.contains(shown), "{prompt}: the value is shown in {all}");
        }
    }
    // That it is there, and its keys, may be seen.
    for prompt in ["kubectl get secret db -o yaml", "show deployment nginx as yaml"] {
        says(
            &answer(&alice, &namespace, prompt).await?.text,
            &["name:", "(masked)"],
        )
        .context(prompt)?;
    }
    says(
        &answer(&alice, &namespace, "describe secret db").await?.text,
        &["secret/db", "password"],
    )
}

async fn every_answer_is_recorded_as_a_read_of_the_requester(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("recorded").await?;
    let dave = ctx.client("dave").await?;
    let turn = ended_turn(&dave, &ask(&dave, &namespace, "list pods").await?).await?;
    let entries = entries_of(product, &turn).await?;
    let [entry] = entries.as_slice() else {
        anyhow::bail!("{entries:#?}");
    };
    ensure!(
        entry["eventType"] == "data_access" && entry["outcome"] == "success" && entry["impersonated"] == true,
        "{entry}"
    );
    ensure!(entry["actor"]["username"] == "dave", "{entry}");
    Ok(())
}
