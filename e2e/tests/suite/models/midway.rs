//! Two processes and one turn: nothing leaves before the log has it, the interpreter writes nothing but what is its own, and
//! whoever ends midway, nothing is lost and nothing is made twice.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::{Outbound, OutboundState};
use kubechat_crds::{ChatRequest, RequestPhase};
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::product::{self, Part, Product};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{entries_of, impersonating, raw, refused, status_of};
use super::super::turn::{LATER, ask_with, ended_turn};
use super::apart::{INTERPRETER, OPERATOR};
use super::server::{ANSWERS, HOLDS, Model};
use super::streaming::how_far_an_answer_is_is_told_at_most_once_a_second_without_its_words;
use super::{KEY, by, in_development, keep_key, provide};
use crate::runner::with_product;

/// How long it is looked that nothing leaves; the interpreter looks forty times a second whether it may send.
const A_WHILE: Duration = Duration::from_secs(2);
const ACCOUNTS: &[&str] = &["system:serviceaccounts", "system:authenticated"];

pub(super) async fn whatever_ends_midway_nothing_leaves_unrecorded_and_nothing_is_lost() -> Result<()> {
    let options = product::Options {
        separate_interpreter: true,
        ..in_development()
    };
    with_product(Options::default(), options, async |cluster, product| {
        let (model, admin) = (Model::default(), cluster.client("admin").await?);
        let endpoint = model.serve().await?;
        keep_key(&admin, KEY).await?;
        provide(&admin, &endpoint, "patient", json!({"timeout": "60s"})).await?;
        let pair = Pair {
            cluster,
            product,
            model: &model,
            alice: cluster.client("alice").await?,
        };
        pair.nothing_leaves_while_nobody_records_it().await?;
        pair.the_interpreter_writes_nothing_but_its_own().await?;
        pair.a_killed_interpreters_call_is_told_and_the_turn_read_again()
            .await?;
        pair.an_operator_that_comes_back_records_each_thing_once().await?;
        pair.of_a_turn_that_is_deleted_the_end_is_told().await?;
        pair.an_answer_after_the_cancel_changes_nothing().await?;
        how_far_an_answer_is_is_told_at_most_once_a_second_without_its_words(&model, &pair.alice, "patient")
            .await
    })
    .await
}

struct Pair<'a> {
    cluster: &'a Cluster,
    product: &'a Product,
    model: &'a Model,
    alice: Client,
}

impl Pair<'_> {
    fn turns(&self) -> Api<ChatRequest> {
        Api::namespaced(self.alice.clone(), "demo")
    }

    async fn as_account(&self, account: &str) -> Result<Client> {
        impersonating(self.cluster, account, ACCOUNTS, &[]).await
    }

    /// A turn whose provider has its words and does not answer yet, and its call.
    async fn held(&self, prompt: &str) -> Result<(ChatRequest, Outbound)> {
        self.model.does(HOLDS);
        let heard = self.model.heard().len();
        let turn = ask_with(&self.alice, "demo", by("patient", prompt)).await?;
        let turns = self.turns();
        let call = eventually(LATER, "the model has its words", || async {
            ensure!(self.model.heard().len() > heard, "it heard nothing");
            let status = status_of(&turns.get(&turn.name_any()).await?);
            let call = status.outbound.first().cloned();
            call.with_context(|| format!("no call is told of: {status:?}"))
        })
        .await?;
        // When the body is there, so is its record, in the status and in the log.
        ensure!(
            call.state == OutboundState::Committed && call.audit_seq.is_some(),
            "{call:?}"
        );
        ensure!(
            self.outcomes(&turn).await? == ["intent"],
            "the log does not have it"
        );
        Ok((turn, call))
    }

    /// How the calls of a turn ended, as the log tells.
    async fn outcomes(&self, turn: &ChatRequest) -> Result<Vec<String>> {
        let entries = entries_of(self.product, turn).await?;
        let calls = entries.iter().filter(|e| e["eventType"] == "outbound");
        let outcome = |e: &Value| e["outcome"].as_str().unwrap_or_default().to_owned();
        Ok(calls.map(outcome).collect())
    }

    async fn is_told(&self, turn: &ChatRequest, expected: &[&str]) -> Result<()> {
        eventually(LATER, "the log tells what became of the call", || async {
            let outcomes = self.outcomes(turn).await?;
            ensure!(outcomes == expected, "{outcomes:?}");
            Ok(())
        })
        .await
    }

    async fn ends(&self, turn: &ChatRequest, phase: RequestPhase) -> Result<()> {
        let turn = ended_turn(&self.alice, turn).await?;
        ensure!(status_of(&turn).phase == Some(phase), "{:?}", turn.status);
        Ok(())
    }

    async fn nothing_leaves_while_nobody_records_it(&self) -> Result<()> {
        self.product.stop(Part::Operator).await?;
        let heard = self.model.heard().len();
        let turn = ask_with(
            &self.alice,
            "demo",
            by("patient", "let me look at the pods apart"),
        )
        .await?;
        // As the operator left it when it went.
        let judged = json!({"status": {
            "phase": "Interpreting",
            "reading": {"state": "Asked", "provider": "patient", "namespace": "demo"},
        }});
        raw(&self.as_account(OPERATOR).await?, "ChatRequest", "demo")
            .patch_status(&turn.name_any(), &PatchParams::default(), &Patch::Merge(judged))
            .await?;
        let turns = self.turns();
        let intended = || async {
            let status = status_of(&turns.get(&turn.name_any()).await?);
            let states: Vec<_> = status.outbound.iter().map(|call| call.state).collect();
            ensure!(states == [OutboundState::Intended], "{:?}", status.outbound);
            Ok(())
        };
        eventually(LATER, "the interpreter says what it intends", intended).await?;
        tokio::time::sleep(A_WHILE).await;
        intended().await?;
        ensure!(
            self.model.heard().len() == heard && self.outcomes(&turn).await?.is_empty(),
            "it was sent, and nobody had recorded it"
        );
        self.product.resume(Part::Operator).await?;
        self.ends(&turn, RequestPhase::Succeeded).await?;
        ensure!(self.model.heard().len() == heard + 1, "it was sent once");
        self.is_told(&turn, &["intent", "success"]).await
    }

    async fn the_interpreter_writes_nothing_but_its_own(&self) -> Result<()> {
        let (turn, call) = self.held("would you look at the pods now").await?;
        let forger = self.as_account(INTERPRETER).await?;
        let (turns, name) = (raw(&forger, "ChatRequest", "demo"), turn.name_any());
        let said = serde_json::to_value(&call)?;
        let with = |field: &str, value: Value| {
            let mut call = said.clone();
            call[field] = value;
            call
        };
        let new = |state: &str, more: Value| {
            let mut call = json!({"id": "patient-9", "state": state, "bytes": 1});
            if let (Some(call), Value::Object(more)) = (call.as_object_mut(), more) {
                call.extend(more);
            }
            call
        };
        let mut unnumbered = said.clone();
        unnumbered
            .as_object_mut()
            .and_then(|call| call.remove("auditSeq"));
        let end = json!({"sent": true, "auditSeq": 7});
        let mut ended = with("state", json!("Done"));
        ended["end"] = end.clone();
        let time = "2026-01-01T00:00:00Z";
        for status in [
            json!({"phase": "Approved"}),
            json!({"planRef": {"name": "x", "digest": "sha256:00"}}),
            json!({"risk": {"level": "safe", "score": 0}}),
            json!({"startTime": time}),
            json!({"completionTime": time}),
            json!({"observedGeneration": 7}),
            json!({"answer": {"firstLine": "done", "text": "done"}}),
            json!({"conditions": [{"type": "Succeeded", "status": "True", "reason": "Answered", "message": "",
                "lastTransitionTime": time}]}),
            json!({"conditions": null}),
            json!({"reading": null}),
            json!({"reading": {"provider": "other"}}),
            json!({"reading": {"namespace": "other"}}),
            json!({"outbound": []}),
            json!({"outbound": null}),
            json!({"outbound": [with("auditSeq", json!(1))]}),
            json!({"outbound": [unnumbered]}),
            json!({"outbound": [with("bytes", json!(1))]}),
            json!({"outbound": [with("digest", json!("sha256:00"))]}),
            json!({"outbound": [with("endpoint", json!("http://other"))]}),
            json!({"outbound": [with("state", json!("Intended"))]}),
            json!({"outbound": [with("end", end.clone())]}),
            json!({"outbound": [with("state", json!("Done"))]}),
            json!({"outbound": [ended]}),
            json!({"outbound": [said, new("Committed", json!({"auditSeq": 1}))]}),
            json!({"outbound": [said, new("Committed", json!({}))]}),
            json!({"outbound": [said, new("Intended", json!({"auditSeq": 1}))]}),
            json!({"outbound": [said, new("Failed", json!({"end": {"sent": false}}))]}),
        ] {
            let forged = Patch::Merge(json!({"status": status}));
            let written = turns.patch_status(&name, &PatchParams::default(), &forged).await;
            refused(&format!("{status}"), written, 403, &["only KubeChat's operator"])?;
        }
        // That is admission, and not a lack of the right to say anything.
        let used = Patch::Merge(json!({"status": {"usage": {"tokensIn": 1, "tokensOut": 1}}}));
        turns.patch_status(&name, &PatchParams::default(), &used).await?;
        let providers = raw(&forger, "AIProvider", "");
        for status in [
            json!({"recordedGeneration": 99}),
            json!({"outbound": [new("Committed", json!({"auditSeq": 1}))]}),
        ] {
            let forged = Patch::Merge(json!({"status": status}));
            let written = providers
                .patch_status("patient", &PatchParams::default(), &forged)
                .await;
            refused(&format!("{status}"), written, 403, &["only KubeChat's operator"])?;
        }
        let cancel = Patch::Merge(json!({"spec": {"cancel": true}}));
        let written = turns.patch(&name, &PatchParams::default(), &cancel).await;
        refused("spec", written, 403, &["cannot patch"])?;
        for kind in ["CommandPlan", "Approval", "ChatSession"] {
            let forged = Patch::Merge(json!({"status": {"phase": "Approved"}}));
            let written = raw(&forger, kind, "demo")
                .patch_status("any", &PatchParams::default(), &forged)
                .await;
            refused(kind, written, 403, &["cannot patch"])?;
        }
        self.model.does(ANSWERS);
        self.ends(&turn, RequestPhase::Succeeded).await?;
        // And nothing more once it has ended.
        for status in [
            json!({"interpretation": {"understood": "list pods"}}),
            json!({"usage": {"tokensIn": 7, "tokensOut": 7}}),
            json!({"partial": {"provider": "patient", "letters": 7}}),
        ] {
            let forged = Patch::Merge(json!({"status": status}));
            let written = turns.patch_status(&name, &PatchParams::default(), &forged).await;
            refused(&format!("{status}"), written, 403, &["only KubeChat's operator"])?;
        }
        Ok(())
    }

    async fn a_killed_interpreters_call_is_told_and_the_turn_read_again(&self) -> Result<()> {
        let (turn, _) = self.held("I want to look at the pods first").await?;
        self.product.destroy(Part::Interpreter).await?;
        self.model.does(ANSWERS);
        self.product.resume(Part::Interpreter).await?;
        self.ends(&turn, RequestPhase::Succeeded).await?;
        self.is_told(&turn, &["intent", "unknown", "intent", "success"])
            .await
    }

    async fn an_operator_that_comes_back_records_each_thing_once(&self) -> Result<()> {
        let (turn, _) = self.held("I want to look at the pods second").await?;
        self.product.stop(Part::Operator).await?;
        self.model.does(ANSWERS);
        self.product.resume(Part::Operator).await?;
        self.ends(&turn, RequestPhase::Succeeded).await?;
        self.is_told(&turn, &["intent", "success"]).await
    }

    async fn of_a_turn_that_is_deleted_the_end_is_told(&self) -> Result<()> {
        let (turn, _) = self.held("I want to look at the pods third").await?;
        self.turns()
            .delete(&turn.name_any(), &DeleteParams::default())
            .await?;
        self.is_told(&turn, &["intent", "unknown"]).await?;
        self.model.does(ANSWERS);
        Ok(())
    }

    async fn an_answer_after_the_cancel_changes_nothing(&self) -> Result<()> {
        let (turn, _) = self.held("I want to look at the pods fourth").await?;
        let (turns, name) = (self.turns(), turn.name_any());
        let cancel = Patch::Merge(json!({"spec": {"cancel": true}}));
        turns.patch(&name, &PatchParams::default(), &cancel).await?;
        self.ends(&turn, RequestPhase::Cancelled).await?;
        self.model.does(ANSWERS);
        self.is_told(&turn, &["intent", "unknown"]).await?;
        let status = status_of(&turns.get(&name).await?);
        ensure!(
            status.phase == Some(RequestPhase::Cancelled) && status.interpretation.is_none(),
            "{status:?}"
        );
        let forged = json!({"status": {"interpretation": {"understood": "list pods", "provider": "patient",
            "confidence": 90, "promptDigest": "sha256:00"}}});
        let written = raw(&self.as_account(INTERPRETER).await?, "ChatRequest", "demo")
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(forged))
            .await;
        refused("it was cancelled", written, 403, &["only KubeChat's operator"]).map(drop)
    }
}
