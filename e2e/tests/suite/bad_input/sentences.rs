//! Sentences that become no plan: unclear, out of scope, without the right, forbidden to everybody.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::condition::{find, types};
use kubechat_crds::{ChatRequest, ChatRequestSpec, CommandPlan, LocalRef, RequestPhase};
use kubechat_e2e::accounts::OPS;
use kubechat_e2e::product::Product;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{
    at, ends_as, entries_of, kubectl_ok, nginx, object, raw, recorded_refusal, says_prompt, status_of,
};
use super::super::turn::{SOON, ask, ended_turn, plan_for, says, waiting_plan};
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        an_unknown_kind_or_unclear_sentence_asks_what_is_meant,
        a_missing_object_is_answered_with_candidates_and_nothing_is_changed,
        an_object_of_another_namespace_is_blocked_for_those_who_may_not_ask_for_it,
        an_object_of_another_namespace_is_answered_from_ops_with_a_manifest_that_works,
        a_requester_without_the_right_gets_no_plan_and_reads_which_right_is_missing,
        an_administrators_powers_are_not_used_and_the_message_says_how_to_bind_them,
        names_that_look_alike_are_other_names_and_hidden_characters_are_told_and_weigh,
        a_provider_that_may_not_be_reached_answers_nothing,
        what_is_forbidden_to_everybody_is_blocked_for_a_cluster_admin_too,
    ]
}

async fn no_plan_in(person: &Client, namespace: &str) -> Result<()> {
    let plans: Api<CommandPlan> = Api::namespaced(person.clone(), namespace);
    let made = plans.list(&ListParams::default()).await?.items;
    ensure!(
        made.is_empty(),
        "plans were made: {:?}",
        made.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    );
    Ok(())
}

async fn an_unknown_kind_or_unclear_sentence_asks_what_is_meant(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("unclear").await?;
    let alice = ctx.client("alice").await?;
    for (prompt, said) in [
        ("kubectl get widgets", "no kind called widgets"),
        ("frobnicate nginx", "frobnicate"),
        ("delete everything", ""),
        ("scale nginx up", "how many replicas"),
        ("list pods with label a==b==c", ""),
        (
            "delete deployment nginx and scale nginx to 3",
            "scale of deployment/nginx comes after its deletion",
        ),
    ] {
        let (turn, message) = ends_as(
            &alice,
            &namespace,
            says_prompt(prompt),
            RequestPhase::NeedsInput,
            "NeedsInput",
        )
        .await?;
        says(&message, &[said])?;
        let answer = status_of(&turn)
            .answer
            .with_context(|| format!("{prompt}: no answer"))?;
        ensure!(!answer.text.is_empty(), "{prompt}: {answer:?}");
        asked_back_is_on_record(product, &turn).await?;
    }
    no_plan_in(&alice, &namespace).await
}

/// The question back to alice stands in the audit log.
async fn asked_back_is_on_record(product: &Product, turn: &ChatRequest) -> Result<()> {
    let entries = entries_of(product, turn).await?;
    let asked = |entry: &Value| entry["reason"] == "NeedsInput" && entry["actor"]["username"] == "alice";
    ensure!(
        entries.iter().any(asked),
        "{:?}: the audit log says {entries:#?}",
        turn.spec.prompt
    );
    Ok(())
}

async fn a_missing_object_is_answered_with_candidates_and_nothing_is_changed(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("missing").await?;
    let alice = ctx.client("alice").await?;
    for (prompt, candidate) in [
        ("restart ngnix", "deployment/nginx"),
        ("scale deployment nginz to 3", "deployment/nginx"),
        ("delete configmap nginx-config", "configmap/nginx-conf"),
        ("restart payments", "deployment/nginx"),
    ] {
        let (turn, message) = ends_as(
            &alice,
            &namespace,
            says_prompt(prompt),
            RequestPhase::NeedsInput,
            "NeedsInput",
        )
        .await?;
        says(&message, &["Nothing was done", "Which one do you mean?"])?;
        let answer = status_of(&turn).answer.unwrap_or_default();
        ensure!(
            answer.candidates.iter().any(|one| one == candidate),
            "{prompt}: the candidates are {:?}",
            answer.candidates
        );
        asked_back_is_on_record(product, &turn).await?;
    }
    no_plan_in(&alice, &namespace).await
}

async fn an_object_of_another_namespace_is_blocked_for_those_who_may_not_ask_for_it(
    ctx: Arc<Ctx>,
) -> Result<()> {
    let product = ctx.product().await?;
    let (namespace, other) = (ctx.namespace("inside").await?, ctx.namespace("outside").await?);
    let alice = ctx.client("alice").await?;
    for prompt in [
        format!("scale nginx in {other} to 3 replicas"),
        format!("list pods in {other}"),
        "cordon node-1".to_owned(),
        "list pods in all namespaces".to_owned(),
        "create namespace team-green".to_owned(),
    ] {
        let (turn, message) = ends_as(
            &alice,
            &namespace,
            says_prompt(&prompt),
            RequestPhase::Blocked,
            "OutOfScope",
        )
        .await?;
        says(
            &message,
            &["outside the scope", "wideScopeFrom", "Nothing was done"],
        )?;
        let blocked = status_of(&turn)
            .blocked
            .with_context(|| format!("{prompt}: not said by what"))?;
        ensure!(
            blocked.policy == "kubechat" && blocked.rule == "scope",
            "{prompt}: {blocked:?}"
        );
        recorded_refusal(product, &turn, "OutOfScope").await?;
    }
    no_plan_in(&alice, &namespace).await?;
    ensure!(at(&nginx(&alice, &other).await?, "/spec/replicas") == 2);
    Ok(())
}

async fn an_object_of_another_namespace_is_answered_from_ops_with_a_manifest_that_works(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("suggest").await?;
    let erin = ctx.client("erin").await?;
    for prompt in [
        format!("scale nginx in {namespace} to 3 replicas"),
        "cordon node-1".to_owned(),
    ] {
        let (turn, message) = ends_as(
            &erin,
            OPS,
            says_prompt(&prompt),
            RequestPhase::NeedsInput,
            "NeedsInput",
        )
        .await?;
        says(&message, &["outside the scope", "suggestion"])?;
        let suggestion = status_of(&turn).answer.and_then(|answer| answer.suggestion);
        let suggestion = suggestion.with_context(|| format!("{prompt}: no suggestion"))?;
        let (made, _) = kubectl_ok(
            &ctx.cluster,
            "erin",
            &["create", "-o", "json", "-f", "-"],
            &suggestion,
        )
        .await?;
        let turn: ChatRequest = serde_json::from_str(&made)?;
        let plan = waiting_plan(&erin, &turn).await?;
        super::super::tools::change(
            &raw(&erin, "ChatRequest", OPS),
            &turn.name_any(),
            &json!({"cancel": true}),
        )
        .await?;
        super::super::turn::ended(&erin, &plan).await?;
    }
    Ok(())
}

async fn a_requester_without_the_right_gets_no_plan_and_reads_which_right_is_missing(
    ctx: Arc<Ctx>,
) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("powerless").await?;
    let dave = ctx.client("dave").await?;
    for (prompt, right) in [
        ("scale nginx to 3 replicas", "patch deployments/scale.apps"),
        ("delete configmap nginx-conf", "delete configmaps"),
        ("set the image of nginx to nginx:1.28", "patch deployments.apps"),
        ("label service nginx tier=front", "patch services"),
    ] {
        let (turn, message) = ends_as(
            &dave,
            &namespace,
            says_prompt(prompt),
            RequestPhase::Failed,
            "Forbidden",
        )
        .await?;
        let right = format!("dave may not {right} in namespace {namespace}");
        says(
            &message,
            &[&right, "Nothing was done, no plan was made", "Ask for that right"],
        )?;
        recorded_refusal(product, &turn, "Forbidden").await?;
    }
    // Reading Secrets is a right that dave lacks as well.
    let (turn, _) = ends_as(
        &dave,
        &namespace,
        says_prompt("list secrets"),
        RequestPhase::Failed,
        "Forbidden",
    )
    .await?;
    recorded_refusal(product, &turn, "Forbidden").await?;
    no_plan_in(&dave, &namespace).await
}

async fn an_administrators_powers_are_not_used_and_the_message_says_how_to_bind_them(
    ctx: Arc<Ctx>,
) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("admin").await?;
    let admin = ctx.client("admin").await?;
    // Even to look, the rights must be bound to the person.
    let (turn, _) = ends_as(
        &admin,
        &namespace,
        says_prompt("list pods"),
        RequestPhase::Failed,
        "Forbidden",
    )
    .await?;
    reduced(&turn)?;
    let view = [
        "create",
        "rolebinding",
        "admin-view",
        "--clusterrole=view",
        "--user=admin",
        "-n",
        &namespace,
    ];
    kubectl_ok(&ctx.cluster, "admin", &view, "").await?;
    allowed(&ctx, &namespace, "get").await?;

    let prompt = "scale nginx to 3 replicas";
    let (turn, message) = ends_as(
        &admin,
        &namespace,
        says_prompt(prompt),
        RequestPhase::Failed,
        "Forbidden",
    )
    .await?;
    reduced(&turn)?;
    recorded_refusal(product, &turn, "Forbidden").await?;
    says(&message, &["KubeChat does not act with system:masters"])?;
    let (_, command) = message
        .split_once(": kubectl ")
        .context("the message holds no command")?;
    let named = command.replace("NAME", "admin-edit");
    let words: Vec<&str> = named.split_whitespace().collect();
    kubectl_ok(&ctx.cluster, "admin", &words, "").await?;
    allowed(&ctx, &namespace, "patch").await?;
    waiting_plan(&admin, &ask(&admin, &namespace, prompt).await?).await?;
    Ok(())
}

fn reduced(turn: &ChatRequest) -> Result<()> {
    let status = status_of(turn);
    let reduced =
        find(&status.conditions, types::RIGHTS_REDUCED).with_context(|| format!("it is {status:?}"))?;
    ensure!(
        reduced.status == "True" && reduced.reason == "PrivilegedGroupsDropped",
        "{reduced:?}"
    );
    says(
        &reduced.message,
        &["system:masters", "kubectl create rolebinding"],
    )
}

/// Waits until a binding holds for admin without his group.
async fn allowed(ctx: &Ctx, namespace: &str, verb: &str) -> Result<()> {
    let plain = super::super::tools::impersonating(&ctx.cluster, "admin", &[], &[]).await?;
    eventually(SOON, "the binding holds", || async {
        let review: SelfSubjectAccessReview = serde_json::from_value(json!({
            "metadata": {},
            "spec": {"resourceAttributes": {
                "verb": verb, "group": "apps", "resource": "deployments", "namespace": namespace,
            }},
        }))?;
        let answer = Api::all(plain.clone())
            .create(&PostParams::default(), &review)
            .await?;
        ensure!(answer.status.is_some_and(|status| status.allowed), "not yet");
        Ok(())
    })
    .await
}

async fn a_provider_that_may_not_be_reached_answers_nothing(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("ollama").await?;
    let (alice, admin) = (ctx.client("alice").await?, ctx.client("admin").await?);
    let providers = raw(&admin, "AIProvider", "");
    let model = json!("m");
    for (n, (spec, reason)) in [
        (json!({"type": "Ollama", "endpoint": "http://ollama.ai.svc:11434", "model": model}), "Invalid"),
        (json!({"type": "Ollama", "endpoint": "http://127.0.0.1:11434", "model": model}), "EgressNotAllowed"),
        (
            json!({"type": "Ollama", "endpoint": "http://ollama.ai.svc:11434", "model": model, "disclosure": "Findings"}),
            "NotSupported",
        ),
        (json!({"type": "OpenAICompatible", "endpoint": "http://vllm.ai.svc:8000"}), "Invalid"),
        (
            json!({"type": "Anthropic", "endpoint": "https://models.example.org", "egress": "External", "model": model}),
            "EgressNotAllowed",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("out-{n}-{namespace}");
        providers
            .create(&PostParams::default(), &object("AIProvider", &name, &spec)?)
            .await?;
        let condition = eventually(SOON, "the provider is judged", || async {
            let found = providers.get(&name).await?;
            let ready: &Value = found
                .data
                .pointer("/status/conditions/0")
                .context("it has no condition")?;
            Ok(ready.clone())
        })
        .await?;
        ensure!(
            condition["type"] == "Ready" && condition["status"] == "False" && condition["reason"] == reason,
            "{spec} is {condition}"
        );
        let turn = ChatRequestSpec {
            provider_ref: Some(LocalRef::new(&name)),
            ..says_prompt("list pods")
        };
        let (turn, message) = ends_as(&alice, &namespace, turn, RequestPhase::NeedsInput, "NeedsInput").await?;
        says(&message, &[&name, reason, "Nothing was done"])?;
        ensure!(status_of(&turn).outbound.is_empty(), "something left: {:?}", turn.status);
    }
    let rules = ChatRequestSpec {
        provider_ref: Some(LocalRef::new("rules")),
        ..says_prompt("list pods")
    };
    ends_as(&alice, &namespace, rules, RequestPhase::Succeeded, "Answered").await?;
    Ok(())
}

async fn what_is_forbidden_to_everybody_is_blocked_for_a_cluster_admin_too(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let (admin, erin) = (ctx.client("admin").await?, ctx.client("erin").await?);
    let victim = format!("victim-{:05x}", rand::random_range(0..0x10_0000));
    let made: ConfigMap = serde_json::from_value(json!({"metadata": {"name": victim}}))?;
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), "kube-system");
    maps.create(&PostParams::default(), &made).await?;
    let everywhere = Scope {
        namespaces: vec!["*".to_owned()],
        cluster_scoped: true,
    };
    for (prompt, said) in [
        ("label riskpolicy baseline tier=web", "KubeChat's own objects"),
        ("delete riskpolicy baseline", "KubeChat's own objects"),
        ("annotate aiprovider rules note=x", "KubeChat's own objects"),
        (
            &format!("delete configmap {victim} in kube-system"),
            "belongs to the control plane",
        ),
        ("delete namespace kube-system", "belongs to the control plane"),
        ("delete namespace kubechat-system", "guards KubeChat itself"),
        ("delete clusterrole kubechat-operator", "guards KubeChat itself"),
        (
            "kubectl delete mutatingwebhookconfiguration kubechat",
            "guards KubeChat itself",
        ),
        (
            "kubectl delete crd chatrequests.kubechat.io",
            "guards KubeChat itself",
        ),
        (
            "delete secret kubechat-seal in kubechat-system",
            "guards KubeChat itself",
        ),
    ] {
        let turn = ChatRequestSpec {
            scope: Some(everywhere.clone()),
            ..says_prompt(prompt)
        };
        let (turn, message) = ends_as(&erin, OPS, turn, RequestPhase::Blocked, "ForbiddenClass").await?;
        says(
            &message,
            &[said, "No plan was made", "no policy or approval can allow it"],
        )
        .with_context(|| prompt.to_owned())?;
        ensure!(
            status_of(&turn).blocked.is_some_and(|by| by.policy == "kubechat"),
            "{prompt}"
        );
        recorded_refusal(product, &turn, "ForbiddenClass").await?;
    }
    maps.get(&victim).await?;
    let baseline = raw(&admin, "RiskPolicy", "").get("baseline").await?;
    ensure!(baseline.labels().get("tier").is_none());
    Ok(())
}

async fn names_that_look_alike_are_other_names_and_hidden_characters_are_told_and_weigh(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("look-alike").await?;
    let alice = ctx.client("alice").await?;
    // Cyrillic, full width, a combining mark, a control character; none of them is the Deployment that is there.
    for name in [
        "ngin\u{0445}",
        "\u{ff4e}\u{ff47}\u{ff49}\u{ff4e}\u{ff58}",
        "nginx\u{0301}",
        "ngi\u{8}nx",
        "../nginx",
        "NGINX%2fscale",
    ] {
        let asked = ask(
            &alice,
            &namespace,
            &format!("scale deployment {name} to 5 replicas"),
        )
        .await;
        // Admission refuses what no text holds; whatever it takes becomes no plan.
        let Ok(turn) = asked else { continue };
        let turn = ended_turn(&alice, &turn).await?;
        let status = status_of(&turn);
        ensure!(
            matches!(
                status.phase,
                Some(RequestPhase::NeedsInput | RequestPhase::Failed)
            ) && status.plan_ref.is_none(),
            "{name:?} ended as {:?} with plan {:?}",
            status.phase,
            status.plan_ref
        );
    }
    no_plan_in(&alice, &namespace).await?;
    ensure!(at(&nginx(&alice, &namespace).await?, "/spec/replicas") == 2);

    let plain = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    ensure!(!plain.spec.facts.untrusted_text, "{:?}", plain.spec.facts);
    let turn = ask(&alice, &namespace, "scale ng\u{200b}inx to 4 replicas\u{202e}").await?;
    let plan = waiting_plan(&alice, &turn).await?;
    let told = plan.spec.risk.factors.iter().find(|f| f.id == "untrusted-text");
    ensure!(
        plan.spec.facts.untrusted_text && told.is_some_and(|f| f.weight == 20),
        "{:?}",
        plan.spec.risk
    );
    ensure!(
        plan.spec.risk.score > plain.spec.risk.score,
        "{:?}",
        plan.spec.risk
    );
    let turns: Api<ChatRequest> = Api::namespaced(alice.clone(), &namespace);
    let status = status_of(&turns.get(&turn.name_any()).await?);
    let understood = status.interpretation.unwrap_or_default().understood;
    says(
        &understood,
        &["ignored 2 invisible characters", "\\u{200b} \\u{202e}"],
    )?;
    ensure!(!understood.contains(['\u{200b}', '\u{202e}']), "{understood:?}");
    Ok(())
}
