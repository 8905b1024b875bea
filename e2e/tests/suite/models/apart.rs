//! The interpreter as a process of its own: the operator asks no model and reads no provider's key, the interpreter acts as nobody
//! and waits for the operator to record what it intends.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::OutboundState;
use kubechat_crds::{ChatRequest, RequestPhase};
use kubechat_e2e::cluster::Options;
use kubechat_e2e::demo::DEPLOYMENT;
use kubechat_e2e::product::{self, Part};
use serde_json::{Value, json};

use super::super::tools::{ends_as, entries_of, impersonating, raw, refused, status_of};
use super::super::turn::{ask_with, ended_turn, says, waiting_plan};
use super::server::{ANSWERS, FAILS, Model, SILENT};
use super::{KEY, by, in_development, keep_key, provide};
use crate::runner::with_product;

pub(super) const OPERATOR: &str = "system:serviceaccount:kubechat-system:kubechat-operator";
pub(super) const INTERPRETER: &str = "system:serviceaccount:kubechat-system:kubechat-interpreter";

pub(super) async fn a_process_of_its_own_asks_models_and_holds_no_other_right() -> Result<()> {
    let options = product::Options {
        separate_interpreter: true,
        ..in_development()
    };
    with_product(Options::default(), options, async |cluster, product| {
        let (model, admin, alice) = (
            Model::default(),
            cluster.client("admin").await?,
            cluster.client("alice").await?,
        );
        let endpoint = model.serve().await?;
        keep_key(&admin, KEY).await?;
        provide(&admin, &endpoint, "small", json!({})).await?;
        provide(
            &admin,
            &endpoint,
            "careful",
            json!({"fallback": {"name": "rules"}}),
        )
        .await?;
        let few = json!({"budget": {"tokensPerUserPerDay": 100}});
        provide(&admin, &endpoint, "dear", few).await?;

        let prompt = format!("I would so love to see 4 copies of \"{DEPLOYMENT}\" in demo");
        let turn = ask_with(&alice, "demo", by("small", &prompt)).await?;
        let plan = waiting_plan(&alice, &turn).await?;
        ensure!(
            plan.spec.steps.iter().any(|s| s.command.contains("--replicas=4")),
            "{:?}",
            plan.spec.steps
        );
        let turns: Api<ChatRequest> = Api::namespaced(alice.clone(), "demo");
        let status = status_of(&turns.get(&turn.name_any()).await?);
        let [call] = status.outbound.as_slice() else {
            anyhow::bail!("{:?}", status.outbound)
        };
        ensure!(call.state == OutboundState::Done, "{call:?}");
        let entries = entries_of(product, &turn).await?;
        let outbound: Vec<&Value> = entries.iter().filter(|e| e["eventType"] == "outbound").collect();
        let short: Vec<_> = outbound
            .iter()
            .map(|e| (e["outcome"].as_str(), e["seq"].as_i64()))
            .collect();
        let end = call.end.as_ref().and_then(|end| end.audit_seq);
        ensure!(
            short == [(Some("intent"), call.audit_seq), (Some("success"), end)],
            "{call:?} {outbound:#?}"
        );

        model.does(FAILS);
        let asked = by("careful", "list pods");
        let (turn, _) = ends_as(&alice, "demo", asked, RequestPhase::Succeeded, "Answered").await?;
        let said = status_of(&turn)
            .interpretation
            .context("nothing was understood")?;
        ensure!(said.provider == "rules", "{said:?}");
        model.does(ANSWERS);

        // The operator counts what people use, and commits nothing beyond it.
        let ask = |words: &str| by("dear", words);
        ends_as(
            &alice,
            "demo",
            ask("show me the pods there are"),
            RequestPhase::Succeeded,
            "Answered",
        )
        .await?;
        product.stop(Part::Interpreter).await?;
        product.resume(Part::Interpreter).await?;
        let heard = model.heard().len();
        let asked = ask("show me the pods once more");
        let (_, message) = ends_as(&alice, "demo", asked, RequestPhase::NeedsInput, "NeedsInput").await?;
        says(&message, &["its budget is 100", "Nothing was done"])?;
        ensure!(model.heard().len() == heard, "it was asked");

        withdrawn_while_it_is_asked(&alice, &model).await?;
        rights_are_apart(&admin).await?;
        the_interpreter_ends_no_turn(cluster, &alice).await
    })
    .await
}

async fn withdrawn_while_it_is_asked(alice: &Client, model: &Model) -> Result<()> {
    model.does(SILENT);
    let turn = ask_with(alice, "demo", by("small", "have a look at pods number 7")).await?;
    let turns: Api<ChatRequest> = Api::namespaced(alice.clone(), "demo");
    let cancel = Patch::Merge(json!({"spec": {"cancel": true}}));
    turns
        .patch(&turn.name_any(), &PatchParams::default(), &cancel)
        .await?;
    let turn = ended_turn(alice, &turn).await?;
    ensure!(
        status_of(&turn).phase == Some(RequestPhase::Cancelled),
        "{:?}",
        turn.status
    );
    model.does(ANSWERS);
    Ok(())
}

async fn rights_are_apart(admin: &Client) -> Result<()> {
    for (who, verb, group, resource, namespace, expected) in [
        (INTERPRETER, "get", "", "secrets", "kubechat-credentials", true),
        (INTERPRETER, "get", "", "secrets", "kubechat-system", false),
        (INTERPRETER, "impersonate", "", "users", "", false),
        (INTERPRETER, "list", "", "pods", "demo", false),
        (
            INTERPRETER,
            "create",
            "kubechat.io",
            "commandplans",
            "demo",
            false,
        ),
        (INTERPRETER, "list", "kubechat.io", "commandplans", "demo", false),
        (OPERATOR, "get", "", "secrets", "kubechat-credentials", false),
        (OPERATOR, "get", "", "services", "demo", false),
        (OPERATOR, "impersonate", "", "users", "", true),
    ] {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(who.to_owned()),
                resource_attributes: Some(ResourceAttributes {
                    verb: some(verb),
                    group: some(group),
                    resource: some(resource),
                    namespace: some(namespace),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(admin.clone());
        let judged = reviews.create(&PostParams::default(), &review).await?;
        let allowed = judged.status.is_some_and(|status| status.allowed);
        ensure!(
            allowed == expected,
            "{who} may {verb} {resource} in {namespace:?}: {allowed}"
        );
    }
    Ok(())
}

/// Even with its own rights: admission lets it write nothing but what it read.
async fn the_interpreter_ends_no_turn(
    cluster: &kubechat_e2e::cluster::Cluster,
    alice: &Client,
) -> Result<()> {
    let asked = by("small", "let me look at the pods");
    let (turn, _) = ends_as(alice, "demo", asked, RequestPhase::Succeeded, "Answered").await?;
    let forger = impersonating(
        cluster,
        INTERPRETER,
        &["system:serviceaccounts", "system:authenticated"],
        &[],
    )
    .await?;
    let turns = raw(&forger, "ChatRequest", "demo");
    for status in [
        json!({"phase": "Approved"}),
        json!({"planRef": {"name": "x", "digest": "sha256:00"}}),
        json!({"reading": {"state": "Understood", "provider": "small", "namespace": "demo"}}),
    ] {
        let forged = Patch::Merge(json!({"status": status}));
        let written = turns
            .patch_status(&turn.name_any(), &PatchParams::default(), &forged)
            .await;
        refused(&format!("{status}"), written, 403, &["only KubeChat's operator"])?;
    }
    Ok(())
}
