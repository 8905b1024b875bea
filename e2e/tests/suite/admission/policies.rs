//! Policies, providers and keys: what contradicts itself or weakens the guard. Nothing here is stored, because policies
//! bind every test in the cluster; admission judges a dry-run the same.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::super::tools::{PUBLIC_KEY, change, dry_run, kubectl_ok, object, raw, refused};
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        policies_that_contradict_themselves_or_switch_the_record_off_are_refused,
        a_change_that_weakens_a_policy_is_warned_about,
        who_changed_a_policy_is_stamped,
        an_approver_key_keeps_its_person_and_key_and_its_revocation_is_final,
    ]
}

async fn policies_that_contradict_themselves_or_switch_the_record_off_are_refused(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let admin = ctx.client("admin").await?;
    let always = "command_execution, approval, outbound and configuration_change are always recorded";
    // Put together here, so that no scanner takes this file for a leak.
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let cases: [(&str, &str, &str, Value, &[&str]); 25] = [
        (
            "a second one",
            "AuditPolicy",
            "second",
            json!({}),
            // The API server's own rule, without the webhook.
            &["is invalid", "one AuditPolicy, named default", "Name it default"],
        ),
        (
            "no approvals",
            "AuditPolicy",
            "default",
            json!({"levels": {"approval": "Off"}}),
            &[always],
        ),
        (
            "no executions",
            "AuditPolicy",
            "default",
            json!({"levels": {"command_execution": "Off"}}),
            &[always],
        ),
        (
            "no such event",
            "AuditPolicy",
            "default",
            json!({"levels": {"gossip": "Full"}}),
            &["gossip", "no event type"],
        ),
        (
            "no such level",
            "AuditPolicy",
            "default",
            json!({"levels": {"system": "Some"}}),
            &["Unsupported value"],
        ),
        (
            "self-approved destruction",
            "RiskPolicy",
            "r",
            json!({"approvals": {"destructive": {"count": 1, "selfConfirm": true}}}),
            &["cannot be used", "nobody confirms a destructive plan of his own"],
        ),
        (
            "no number",
            "RiskPolicy",
            "r",
            json!({"approvals": {"caution": {"count": 0}}}),
            &["count"],
        ),
        (
            "no duration",
            "RiskPolicy",
            "r",
            json!({"maxPlanAge": {"caution": "soon"}}),
            &["maxPlanAge"],
        ),
        (
            "rules of one name",
            "RiskPolicy",
            "r",
            json!({"rules": [
                {"name": "a", "when": "true", "effect": "Deny"}, {"name": "a", "when": "true", "effect": "Deny"},
            ]}),
            &["two rules are named a"],
        ),
        (
            "bad CEL",
            "RiskPolicy",
            "r",
            json!({"rules": [{"name": "a", "when": "plan.level == 'caution' &&\n  step.acton == 'scale'", "effect": "Deny"}]}),
            &["rule a: when, 2:8: step has no field acton"],
        ),
        (
            "a looping rule",
            "RiskPolicy",
            "r",
            json!({"rules": [{"name": "a", "when": "requester.groups.all(a, requester.groups.all(b, requester.groups.all(c, a == b)))", "effect": "Deny"}]}),
            &["rule a: when, 1:1: costs too much"],
        ),
        (
            "no cron",
            "RiskPolicy",
            "r",
            json!({"freezes": [{"cron": "61 * * * *", "duration": "1h", "effect": "Deny"}]}),
            &["freeze 1: cron", "cannot be read"],
        ),
        (
            "a freeze of both forms",
            "RiskPolicy",
            "r",
            json!({"freezes": [{"cron": "0 0 * * *", "duration": "1h", "from": "2030-01-01T00:00:00Z",
                "to": "2030-01-02T00:00:00Z", "effect": "Deny"}]}),
            &["a freeze has either cron and duration, or from and to"],
        ),
        (
            "a freeze of no form",
            "RiskPolicy",
            "r",
            json!({"freezes": [{"effect": "Deny"}]}),
            &["a freeze has either cron and duration, or from and to"],
        ),
        (
            "a freeze without an end",
            "RiskPolicy",
            "r",
            json!({"freezes": [{"from": "2030-01-01T00:00:00Z", "effect": "Deny"}]}),
            &["from goes with to, cron goes with duration"],
        ),
        (
            "a freeze without a length",
            "RiskPolicy",
            "r",
            json!({"freezes": [{"cron": "0 0 * * *", "effect": "Deny"}]}),
            &["from goes with to, cron goes with duration"],
        ),
        (
            "no time zone",
            "RiskPolicy",
            "r",
            json!({"freezes": [{"cron": "0 0 * * *", "duration": "1h", "timeZone": "Mars/Olympus", "effect": "Deny"}]}),
            &["no IANA time zone"],
        ),
        (
            "more people than it names",
            "RiskPolicy",
            "r",
            json!({"approvals": {"caution": {"count": 2, "users": ["bob"]}}}),
            &["nothing could ever be approved"],
        ),
        (
            "a secret",
            "RiskPolicy",
            "r",
            json!({"rules": [{"name": "a", "when": "true", "effect": "Deny", "message": token}]}),
            &["holds a secret", "github-token"],
        ),
        (
            "no endpoint",
            "AIProvider",
            "p",
            json!({"type": "Ollama"}),
            &["spec.endpoint is needed"],
        ),
        (
            "an endpoint for rules",
            "AIProvider",
            "p",
            json!({"type": "Rules", "endpoint": "http://x.y.svc"}),
            &["takes no endpoint"],
        ),
        (
            "metadata service",
            "AIProvider",
            "p",
            json!({"type": "Ollama", "endpoint": "http://169.254.169.254/"}),
            &["spec.endpoint"],
        ),
        (
            "a private key",
            "ApproverKey",
            "k",
            json!({"username": "bob", "publicKey": "-----BEGIN OPENSSH PRIVATE KEY-----\nx"}),
            &["publicKey"],
        ),
        (
            "a user of the control plane",
            "ApproverKey",
            "k",
            json!({"username": "system:admin", "publicKey": PUBLIC_KEY}),
            &["an ApproverKey belongs to a person, not to a system user"],
        ),
        (
            "no key",
            "ApproverKey",
            "k",
            json!({"username": "bob", "publicKey": "ssh-ed25519 AAAA"}),
            &["spec.publicKey", "ssh-keygen"],
        ),
    ];
    for (what, kind, name, spec, words) in cases {
        let api = raw(&admin, kind, "");
        let written = if name == "default" {
            let patch = Patch::Merge(json!({"spec": spec}));
            let params = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            api.patch(name, &params, &patch).await
        } else {
            api.create(&dry_run(), &object(kind, name, &spec)?).await
        };
        let status = refused(&format!("{kind} with {what}"), written, 422, words)?;
        ensure!(!status.message.contains(&token), "it repeats the secret");
    }
    Ok(())
}

async fn a_change_that_weakens_a_policy_is_warned_about(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let cases: [(&str, &str, Value, Option<&str>); 9] = [
        (
            "riskpolicy",
            "baseline",
            json!({"approvals": {"destructive": {"count": 2}}}),
            None,
        ),
        (
            "riskpolicy",
            "baseline",
            json!({"maxPlanAge": {"caution": "1h"}}),
            None,
        ),
        (
            "riskpolicy",
            "baseline",
            json!({"maxPlanAge": {"caution": "24h"}}),
            Some("maxPlanAge.caution is longer"),
        ),
        (
            "riskpolicy",
            "baseline",
            json!({"protectedNamespaces": null}),
            Some("protectedNamespaces changed"),
        ),
        (
            "riskpolicy",
            "baseline",
            json!({"wideScopeFrom": {"matchLabels": null}}),
            Some("wideScopeFrom selects other namespaces"),
        ),
        (
            "riskpolicy",
            "baseline",
            json!({"rules": [{"name": "a", "when": "step.action == 'scale'", "effect": "Allow"}]}),
            Some("rule a allows"),
        ),
        (
            "riskpolicy",
            "baseline",
            json!({"egressHosts": ["example.org"]}),
            Some("egressHosts has more hosts"),
        ),
        (
            "auditpolicy",
            "default",
            json!({"levels": {"data_access": "Off"}}),
            Some("less is recorded of data_access"),
        ),
        (
            "auditpolicy",
            "default",
            json!({"retention": "24h"}),
            Some("kept for a shorter time"),
        ),
    ];
    for (kind, name, spec, warning) in cases {
        let patch = json!({"spec": spec}).to_string();
        let args = [
            "patch",
            kind,
            name,
            "--type=merge",
            "--dry-run=server",
            "-p",
            &patch,
        ];
        let (_, said) = kubectl_ok(&ctx.cluster, "admin", &args, "").await?;
        match warning {
            None => ensure!(!said.contains("weaker"), "{patch} was warned about: {said}"),
            Some(words) => ensure!(
                said.contains("Warning:") && said.contains(words),
                "{patch}: {said:?}"
            ),
        }
    }
    Ok(())
}

async fn who_changed_a_policy_is_stamped(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let (admin, erin) = (ctx.client("admin").await?, ctx.client("erin").await?);
    let forged = json!({"username": "mallory"});
    let name = format!("stamped-{:05x}", rand::random_range(0..0x10_0000));
    // A provider binds nobody.
    let spec = json!({"type": "Rules", "changedBy": forged});
    let by_erin = raw(&erin, "AIProvider", "");
    let made = by_erin
        .create(&PostParams::default(), &object("AIProvider", &name, &spec)?)
        .await?;
    let by = |object: &kube::api::DynamicObject| object.data["spec"]["changedBy"]["username"].clone();
    ensure!(by(&made) == "erin", "it was created by {}", by(&made));
    let by_admin = raw(&admin, "AIProvider", "");
    let untouched = change(&by_admin, &name, &json!({"changedBy": forged})).await?;
    ensure!(by(&untouched) == "erin", "it was changed by {}", by(&untouched));
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let labelled = by_admin.patch(&name, &PatchParams::default(), &label).await?;
    ensure!(by(&labelled) == "erin", "it was changed by {}", by(&labelled));
    let changed = change(&by_admin, &name, &json!({"maxTokens": 10, "changedBy": forged})).await?;
    ensure!(by(&changed) == "admin", "it was changed by {}", by(&changed));

    for (kind, fresh, spec) in [
        ("RiskPolicy", "stamped", json!({"changedBy": forged})),
        (
            "ApproverKey",
            "stamped",
            json!({"username": "bob", "publicKey": PUBLIC_KEY, "changedBy": forged}),
        ),
    ] {
        let made = raw(&erin, kind, "")
            .create(&dry_run(), &object(kind, fresh, &spec)?)
            .await?;
        ensure!(by(&made) == "erin", "{kind} was created by {}", by(&made));
    }
    let params = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"spec": {"legalHold": true, "changedBy": forged}}));
    let changed = raw(&erin, "AuditPolicy", "")
        .patch("default", &params, &patch)
        .await?;
    ensure!(by(&changed) == "erin", "it was changed by {}", by(&changed));
    Ok(())
}

async fn an_approver_key_keeps_its_person_and_key_and_its_revocation_is_final(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let admin = ctx.client("admin").await?;
    let name = format!("bob-{:05x}", rand::random_range(0..0x10_0000));
    let keys = raw(&admin, "ApproverKey", "");
    let spec = json!({"username": "bob", "groups": ["approvers"], "publicKey": PUBLIC_KEY});
    keys.create(&PostParams::default(), &object("ApproverKey", &name, &spec)?)
        .await?;
    let other = PUBLIC_KEY.replace("bob@", "carol@");
    for (what, spec) in [
        ("the person", json!({"username": "carol"})),
        ("the key", json!({"publicKey": other})),
    ] {
        let words = [
            "a key belongs to one person for ever",
            "create another ApproverKey",
        ];
        refused(what, change(&keys, &name, &spec).await, 422, &words)?;
    }
    change(&keys, &name, &json!({"revokedAt": "2026-01-01T00:00:00Z"}))
        .await
        .context("revoking")?;
    for later in [json!(null), json!("2027-01-01T00:00:00Z")] {
        let again = change(&keys, &name, &json!({"revokedAt": later})).await;
        refused("taking a revocation back", again, 422, &["a revocation is final"])?;
    }
    Ok(())
}
