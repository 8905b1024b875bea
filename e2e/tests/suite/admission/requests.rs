//! What may be asked: limits, secrets, scope and references of a turn.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use kube::api::PostParams;
use kubechat_e2e::accounts::OPS;
use serde_json::{Value, json};

use super::super::tools::{change, dry_run, impersonating, object, raw, refused};
use super::super::turn::{SOON, plan_for};
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        prompts_that_are_empty_too_long_or_unreadable_are_refused,
        a_prompt_that_holds_a_secret_is_refused_without_repeating_it,
        a_scope_wider_than_the_namespace_is_taken_from_ops_only,
        references_to_what_is_not_there_or_not_the_requesters_are_refused,
        a_session_takes_no_turn_of_others_nor_after_it_was_closed,
        a_service_account_must_say_until_when_it_asks,
    ]
}

async fn prompts_that_are_empty_too_long_or_unreadable_are_refused(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("prompt").await?;
    let turns = raw(&ctx.client("alice").await?, "ChatRequest", &namespace);
    let cases: [(&str, Value, &[&str]); 9] = [
        ("none", json!({}), &["spec.prompt is empty", "say what to do"]),
        ("empty", json!({"prompt": ""}), &["spec.prompt is empty"]),
        (
            "blank",
            json!({"prompt": " \n\t "}),
            &["spec.prompt is empty", "No turn was created"],
        ),
        (
            "16 KiB and one",
            json!({"prompt": "x".repeat(16 * 1024 + 1)}),
            &["spec.prompt", "16384"],
        ),
        (
            "9,000 two-byte characters",
            json!({"prompt": "ä".repeat(9000)}),
            &["18000 bytes", "more than 16384", "shorter"],
        ),
        (
            "a bell",
            json!({"prompt": "list pods\u{7}"}),
            &["U+0007 at byte 9", "Remove it"],
        ),
        (
            "an escape",
            json!({"prompt": "\u{1b}[2Jlist pods"}),
            &["U+001B at byte 0"],
        ),
        (
            "cancelled already",
            json!({"prompt": "list pods", "cancel": true}),
            &["spec.cancel is true in a new"],
        ),
        (
            "too late",
            json!({"prompt": "list pods", "notAfter": "2020-01-01T00:00:00Z"}),
            &["spec.notAfter", "is past"],
        ),
    ];
    for (what, spec, words) in cases {
        let asked = turns
            .create(&PostParams::default(), &object("ChatRequest", "bad-", &spec)?)
            .await;
        refused(what, asked, 422, words)?;
    }
    let longest = json!({"prompt": format!("list pods{}", " ".repeat(16 * 1024 - 9))});
    turns
        .create(&dry_run(), &object("ChatRequest", "longest", &longest)?)
        .await
        .context("16 KiB")?;
    let left = turns.list(&kube::api::ListParams::default()).await?.items;
    ensure!(left.is_empty(), "{} turns were created", left.len());
    Ok(())
}

async fn a_prompt_that_holds_a_secret_is_refused_without_repeating_it(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("secret").await?;
    let turns = raw(&ctx.client("alice").await?, "ChatRequest", &namespace);
    // Put together here, so that no scanner takes this file for a leak.
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let key = format!("AKIA{}", "ABCDEFGH12345678");
    for (value, class, before) in [
        (token.as_str(), "github-token", "label deployment nginx token="),
        (&key, "aws-access-key-id", "annotate deployment nginx key="),
    ] {
        let spec = json!({"prompt": format!("{before}{value}")});
        let asked = turns
            .create(&PostParams::default(), &object("ChatRequest", "bad-", &spec)?)
            .await;
        let place = format!(
            "{class} at bytes {} to {}",
            before.len(),
            before.len() + value.len()
        );
        let status = refused(
            class,
            asked,
            422,
            &["holds a secret", &place, "nothing was stored", "Take it out"],
        )?;
        let said = serde_json::to_string(&status.message)?;
        ensure!(
            !said.contains(value) && !said.contains(&value[8..]),
            "it repeats the secret: {said}"
        );
    }
    let log = ctx.product().await?.log("webhook");
    let logged = std::fs::read_to_string(log)?;
    ensure!(
        !logged.contains(&token) && !logged.contains(&key),
        "the webhook logged a secret"
    );
    Ok(())
}

async fn a_scope_wider_than_the_namespace_is_taken_from_ops_only(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("scope").await?;
    let narrow = raw(&ctx.client("alice").await?, "ChatRequest", &namespace);
    let wide = raw(&ctx.client("erin").await?, "ChatRequest", OPS);
    let turn = |scope: &Value| {
        object(
            "ChatRequest",
            "wide-",
            &json!({"prompt": "list pods", "scope": scope}),
        )
    };
    for scope in [
        json!({"namespaces": ["kube-system"]}),
        json!({"namespaces": [namespace, "demo"]}),
        json!({"namespaces": ["*"]}),
        json!({"clusterScoped": true}),
    ] {
        let what = scope.to_string();
        let asked = narrow.create(&PostParams::default(), &turn(&scope)?).await;
        refused(
            &what,
            asked,
            403,
            &["may only be about", "wideScopeFrom", "No turn was created"],
        )?;
        wide.create(&dry_run(), &turn(&scope)?)
            .await
            .with_context(|| format!("{what} from ops"))?;
    }
    let own = json!({"namespaces": [namespace]});
    narrow
        .create(&dry_run(), &turn(&own)?)
        .await
        .context("its own namespace")?;
    let bad = json!({"namespaces": ["Not A Name"]});
    refused(
        "no name",
        wide.create(&PostParams::default(), &turn(&bad)?).await,
        422,
        &["no name of a namespace"],
    )?;
    Ok(())
}

async fn references_to_what_is_not_there_or_not_the_requesters_are_refused(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("refs").await?;
    let (alice, admin) = (ctx.client("alice").await?, ctx.client("admin").await?);
    let closed = format!("closed-{namespace}");
    let spec = json!({"type": "Ollama", "endpoint": "http://ollama.ai.svc:11434", "allowedNamespaces": ["elsewhere"]});
    raw(&admin, "AIProvider", "")
        .create(&PostParams::default(), &object("AIProvider", &closed, &spec)?)
        .await?;
    let turns = raw(&alice, "ChatRequest", &namespace);
    for (what, field, name, code, words) in [
        (
            "a provider that is not there",
            "providerRef",
            "gpt",
            403,
            vec!["there is no AIProvider gpt", "get aiproviders"],
        ),
        (
            "a provider for others",
            "providerRef",
            &closed,
            403,
            vec!["does not serve namespace", &namespace],
        ),
        (
            "a session that is not there",
            "sessionRef",
            "talk",
            403,
            vec!["you have no ChatSession talk"],
        ),
        (
            "a plan that is not there",
            "rollbackOf",
            "plan-1",
            403,
            vec!["which you cannot read", "not there"],
        ),
        (
            "another cluster",
            "clusterRef",
            "west",
            422,
            vec!["spec.clusterRef is not supported"],
        ),
    ] {
        let spec = json!({"prompt": "list pods", field: {"name": name}});
        let asked = turns
            .create(&PostParams::default(), &object("ChatRequest", "bad-", &spec)?)
            .await;
        refused(what, asked, code, &words)?;
    }
    // Another's plan may be undone by whoever may read it; one who may not read it is told no more than that.
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let name = plan.metadata.name.unwrap_or_default();
    let undo = object("ChatRequest", "undo-", &json!({"rollbackOf": {"name": name}}))?;
    let outsider = "kubechat-e2e-outsider";
    let frank = impersonating(&ctx.cluster, outsider, &["system:masters"], &[]).await?;
    raw(&frank, "ChatRequest", &namespace)
        .create(&dry_run(), &undo)
        .await
        .context("who may read it")?;
    turns.create(&dry_run(), &undo).await.context("her own")?;
    Ok(())
}

async fn a_session_takes_no_turn_of_others_nor_after_it_was_closed(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("sessions").await?;
    let (alice, dave) = (ctx.client("alice").await?, ctx.client("dave").await?);
    let sessions = raw(&alice, "ChatSession", &namespace);
    for (name, spec) in [
        ("open", json!({})),
        ("closed", json!({})),
        ("short", json!({"ttl": "1s"})),
    ] {
        sessions
            .create(&PostParams::default(), &object("ChatSession", name, &spec)?)
            .await?;
    }
    let turn = |session: &str| {
        object(
            "ChatRequest",
            "in-",
            &json!({"prompt": "list pods", "sessionRef": {"name": session}}),
        )
    };
    let in_others = raw(&dave, "ChatRequest", &namespace)
        .create(&PostParams::default(), &turn("open")?)
        .await;
    refused(
        "another's session",
        in_others,
        403,
        &["you have no ChatSession open"],
    )?;
    let turns = raw(&alice, "ChatRequest", &namespace);
    turns
        .create(&dry_run(), &turn("open")?)
        .await
        .context("her own session")?;
    turns
        .create(&dry_run(), &turn("closed")?)
        .await
        .context("not closed yet")?;
    change(&sessions, "closed", &json!({"closed": true})).await?;
    let late = turns.create(&PostParams::default(), &turn("closed")?).await;
    refused(
        "a closed session",
        late,
        403,
        &["closed or expired", "Create another session"],
    )?;
    kubechat_e2e::wait::eventually(SOON, "the short session is over", || async {
        let late = turns.create(&dry_run(), &turn("short")?).await;
        refused("an expired session", late, 403, &["closed or expired"]).map(drop)
    })
    .await
}

async fn a_service_account_must_say_until_when_it_asks(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("cron").await?;
    let robot = format!("system:serviceaccount:{namespace}:cron");
    let client = impersonating(&ctx.cluster, &robot, &["system:masters"], &[]).await?;
    let turns = raw(&client, "ChatRequest", &namespace);
    let until = |days: i64| {
        let time =
            k8s_openapi::jiff::Timestamp::now() + k8s_openapi::jiff::SignedDuration::from_hours(24 * days);
        object(
            "ChatRequest",
            "cron-",
            &json!({"prompt": "list pods", "notAfter": time.to_string()}),
        )
    };
    let open_end = object("ChatRequest", "cron-", &json!({"prompt": "list pods"}))?;
    for (what, turn) in [("no end", open_end), ("eight days", until(8)?)] {
        let asked = turns.create(&PostParams::default(), &turn).await;
        refused(
            what,
            asked,
            422,
            &["a service account must set spec.notAfter", "7 days"],
        )?;
    }
    turns.create(&dry_run(), &until(1)?).await.context("one day")?;
    for user in ["system:kube-scheduler", "system:anonymous"] {
        let client = impersonating(&ctx.cluster, user, &["system:masters"], &[]).await?;
        let asked = raw(&client, "ChatRequest", &namespace)
            .create(&PostParams::default(), &until(1)?)
            .await;
        refused(user, asked, 403, &["KubeChat does not act", "Nothing was done"])?;
    }
    Ok(())
}
