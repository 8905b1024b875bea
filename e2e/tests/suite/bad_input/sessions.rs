//! Sessions: what they count, when they end, and what "that" means in them.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::condition::{find, types};
use kubechat_crds::{
    ChatRequestSpec, ChatSession, ChatSessionStatus, LocalRef, PlanPhase, RequestPhase, SessionPhase,
};
use kubechat_e2e::accounts::OPS;
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{change, ends_as, object, raw, says_prompt, status_of};
use super::super::turn::{LATER, approve, ask_with, ended_as, waiting_plan};
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        a_session_counts_its_turns_and_ends_when_it_is_closed,
        a_session_expires_after_its_time_without_a_turn,
        undo_that_means_the_last_change_of_the_session,
        a_session_gives_its_turns_a_namespace_and_no_right_to_it,
        a_session_gives_its_turns_a_provider_that_is_there_and_for_them,
        a_conversation_is_understood_from_its_earlier_turns,
        turns_that_come_at_once_are_read_in_their_order,
    ]
}

async fn open(person: &Client, namespace: &str, name: &str, spec: &Value) -> Result<Api<ChatSession>> {
    let session = object("ChatSession", name, spec)?;
    raw(person, "ChatSession", namespace)
        .create(&PostParams::default(), &session)
        .await?;
    Ok(Api::namespaced(person.clone(), namespace))
}

fn turn(session: &str, prompt: &str) -> ChatRequestSpec {
    ChatRequestSpec {
        session_ref: Some(LocalRef::new(session)),
        ..says_prompt(prompt)
    }
}

/// Waits until the session is like this.
async fn becomes(
    sessions: &Api<ChatSession>,
    name: &str,
    is: impl Fn(&ChatSessionStatus) -> bool,
) -> Result<ChatSessionStatus> {
    eventually(LATER, &format!("session {name} is as expected"), || async {
        let status = sessions.get(name).await?.status.unwrap_or_default();
        ensure!(is(&status), "it is {status:?}");
        Ok(status)
    })
    .await
}

async fn a_session_counts_its_turns_and_ends_when_it_is_closed(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("session").await?;
    let alice = ctx.client("alice").await?;
    let sessions = open(&alice, &namespace, "talk", &json!({"title": "deploy day"})).await?;
    let new = becomes(&sessions, "talk", |s| s.phase == Some(SessionPhase::Active)).await?;
    ensure!(new.turns == 0, "it has {} turns", new.turns);
    let expires = new.expires_at.context("it never expires")?.0;
    for prompt in ["list pods", "how many services are there"] {
        ends_as(
            &alice,
            &namespace,
            turn("talk", prompt),
            RequestPhase::Succeeded,
            "Answered",
        )
        .await?;
    }
    ask_with(&alice, &namespace, says_prompt("list pods")).await?;
    let used = becomes(&sessions, "talk", |s| {
        s.turns == 2 && s.phase == Some(SessionPhase::Active)
    })
    .await?;
    ensure!(used.last_activity.is_some(), "{used:?}");
    ensure!(
        used.expires_at.as_ref().is_some_and(|at| at.0 >= expires),
        "{used:?}"
    );

    change(
        &raw(&alice, "ChatSession", &namespace),
        "talk",
        &json!({"closed": true}),
    )
    .await?;
    let closed = becomes(&sessions, "talk", |s| s.phase == Some(SessionPhase::Terminated)).await?;
    let ready = find(&closed.conditions, types::READY).context("it has no condition")?;
    ensure!(
        ready.status == "False" && ready.reason == "SessionClosed",
        "{ready:?}"
    );
    Ok(())
}

async fn a_session_expires_after_its_time_without_a_turn(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("expiry").await?;
    let alice = ctx.client("alice").await?;
    let sessions = open(&alice, &namespace, "short", &json!({"ttl": "3s"})).await?;
    let over = becomes(&sessions, "short", |s| s.phase == Some(SessionPhase::Expired)).await?;
    let ready = find(&over.conditions, types::READY).context("it has no condition")?;
    ensure!(ready.status == "False" && ready.reason == "Expired", "{ready:?}");
    ensure!(
        ask_with(&alice, &namespace, turn("short", "list pods"))
            .await
            .is_err(),
        "it takes a turn"
    );
    Ok(())
}

async fn undo_that_means_the_last_change_of_the_session(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("follow-up").await?;
    let alice = ctx.client("alice").await?;
    open(&alice, &namespace, "talk", &json!({})).await?;
    // Nothing was done yet.
    ends_as(
        &alice,
        &namespace,
        turn("talk", "undo that"),
        RequestPhase::NeedsInput,
        "NeedsInput",
    )
    .await?;
    let scale = ask_with(&alice, &namespace, turn("talk", "scale nginx to 3 replicas")).await?;
    let scale = waiting_plan(&alice, &scale).await?;
    approve(&alice, &scale).await?;
    ended_as(&alice, &scale, PlanPhase::Succeeded).await?;
    ends_as(
        &alice,
        &namespace,
        turn("talk", "list pods"),
        RequestPhase::Succeeded,
        "Answered",
    )
    .await?;

    let undo = ask_with(&alice, &namespace, turn("talk", "undo that")).await?;
    let undo = waiting_plan(&alice, &undo).await?;
    ensure!(
        undo.spec.rollback_of.as_ref().map(|of| &of.name) == scale.metadata.name.as_ref(),
        "it undoes {:?}",
        undo.spec.rollback_of
    );
    approve(&alice, &undo).await?;
    ended_as(&alice, &undo, PlanPhase::Succeeded).await?;
    demo::wait_ready(&alice, &namespace, DEPLOYMENT, 2).await?;
    // Outside the session nobody knows what "that" is.
    ends_as(
        &alice,
        &namespace,
        says_prompt("undo that"),
        RequestPhase::NeedsInput,
        "NeedsInput",
    )
    .await?;
    Ok(())
}

async fn a_session_gives_its_turns_a_namespace_and_no_right_to_it(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let (namespace, other) = (ctx.namespace("own").await?, ctx.namespace("default").await?);
    let alice = ctx.client("alice").await?;
    let made: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "settings"}}))?;
    Api::<ConfigMap>::namespaced(alice.clone(), &other)
        .create(&PostParams::default(), &made)
        .await?;
    open(
        &alice,
        &namespace,
        "elsewhere",
        &json!({"defaults": {"namespace": other}}),
    )
    .await?;
    let (refused, _) = ends_as(
        &alice,
        &namespace,
        turn("elsewhere", "list configmaps"),
        RequestPhase::Blocked,
        "OutOfScope",
    )
    .await?;
    ensure!(status_of(&refused).answer.is_none(), "{:?}", refused.status);
    // Where the scope may be wider, and is, the turn is about that namespace.
    let (erin, talk) = (ctx.client("erin").await?, format!("talk-about-{other}"));
    open(&erin, OPS, &talk, &json!({"defaults": {"namespace": other}})).await?;
    let wide = ChatRequestSpec {
        scope: Some(Scope {
            namespaces: vec![OPS.to_owned(), other.clone()],
            cluster_scoped: false,
        }),
        ..turn(&talk, "list configmaps")
    };
    let (answered, _) = ends_as(&erin, OPS, wide, RequestPhase::Succeeded, "Answered").await?;
    let answer = serde_json::to_string(&status_of(&answered).answer)?;
    ensure!(answer.contains("settings"), "it is about another place: {answer}");
    Ok(())
}

async fn a_session_gives_its_turns_a_provider_that_is_there_and_for_them(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("provider").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    let others = format!("others-of-{namespace}");
    let spec = json!({"type": "Rules", "allowedNamespaces": ["no-such-namespace"]});
    raw(&admin, "AIProvider", "")
        .create(&PostParams::default(), &object("AIProvider", &others, &spec)?)
        .await?;
    let (done, failed) = (RequestPhase::Succeeded, RequestPhase::Failed);
    for (session, provider, phase, reason, words) in [
        ("built-in", "rules", done, "Answered", String::new()),
        (
            "of-others",
            others.as_str(),
            failed,
            "ProviderNotAllowed",
            format!("AIProvider {others} does not serve namespace {namespace}"),
        ),
        (
            "missing",
            "no-such-provider",
            failed,
            "ProviderNotAllowed",
            "there is no AIProvider no-such-provider".to_owned(),
        ),
    ] {
        let defaults = json!({"defaults": {"providerRef": {"name": provider}}});
        open(&alice, &namespace, session, &defaults).await?;
        let (_, said) = ends_as(&alice, &namespace, turn(session, "list pods"), phase, reason).await?;
        ensure!(said.contains(&words), "{session}: it says {said:?}");
    }
    // What the turn says itself goes before what its session says.
    let own = ChatRequestSpec {
        provider_ref: Some(LocalRef::new("rules")),
        ..turn("missing", "list pods")
    };
    ends_as(&alice, &namespace, own, done, "Answered").await?;
    Ok(())
}

/// What the turn was understood as, and how it ended.
async fn says(person: &Client, namespace: &str, prompt: &str, phase: RequestPhase) -> Result<Value> {
    let reason = if phase == RequestPhase::NeedsInput {
        "NeedsInput"
    } else {
        "Answered"
    };
    let (ended, _) = ends_as(person, namespace, turn("talk", prompt), phase, reason).await?;
    let read = status_of(&ended).interpretation.context("it was not read")?;
    Ok(serde_json::to_value(read.intents)?)
}

async fn a_conversation_is_understood_from_its_earlier_turns(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("conversation").await?;
    let alice = ctx.client("alice").await?;
    open(&alice, &namespace, "talk", &json!({})).await?;
    let done = RequestPhase::Succeeded;
    // A question about a change, and what follows it, plan nothing.
    let asked = says(&alice, &namespace, "what happens if I scale nginx to 4?", done).await?;
    ensure!(asked[0]["params"]["replicas"] == 4, "{asked}");
    let again = says(&alice, &namespace, "no, 6", done).await?;
    ensure!(again[0]["params"]["replicas"] == 6, "{again}");
    // Now it is asked for.
    let plan = ask_with(&alice, &namespace, turn("talk", "do it")).await?;
    let plan = waiting_plan(&alice, &plan).await?;
    ensure!(
        plan.spec.steps[0].params.replicas == Some(6),
        "{:?}",
        plan.spec.steps
    );
    // Withdrawing is not undoing.
    let unclear = says(&alice, &namespace, "list pods", done).await?;
    ensure!(unclear[0]["action"] == "list", "{unclear}");
    let most = says(&alice, &namespace, "which of them restarted most?", done).await?;
    ensure!(most[0]["params"]["sort"] == "restarts", "{most}");
    let (undo, _) = ends_as(
        &alice,
        &namespace,
        turn("talk", "undo that"),
        RequestPhase::NeedsInput,
        "NeedsInput",
    )
    .await?;
    let said = serde_json::to_string(&status_of(&undo).conditions)?;
    ensure!(said.contains("has not ended"), "{said}");
    Ok(())
}

async fn turns_that_come_at_once_are_read_in_their_order(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("at-once").await?;
    let alice = ctx.client("alice").await?;
    open(&alice, &namespace, "talk", &json!({})).await?;
    // Each refers to the one before, and none waits for it to be answered.
    let mut asked = vec![];
    for prompt in [
        "what happens if I scale nginx to 3?",
        "make it 4",
        "no, 5",
        "make it 6",
    ] {
        asked.push(ask_with(&alice, &namespace, turn("talk", prompt)).await?);
    }
    let requests: Api<kubechat_crds::ChatRequest> = Api::namespaced(alice.clone(), &namespace);
    for (one, wanted) in asked.iter().zip([3, 4, 5, 6]) {
        let name = one.metadata.name.clone().context("it has no name")?;
        eventually(LATER, &format!("turn {name} was read in its place"), || async {
            let status = requests.get(&name).await?.status.unwrap_or_default();
            let read = status.interpretation.context("it was not read")?;
            let replicas = read.intents.first().and_then(|i| i.params.replicas);
            ensure!(replicas == Some(wanted), "it was read as {replicas:?}");
            ensure!(status.plan_ref.is_none(), "it made a plan");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
