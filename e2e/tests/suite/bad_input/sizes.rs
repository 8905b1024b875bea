//! What is asked for is more than a plan may hold.

use std::sync::Arc;

use anyhow::Result;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, PostParams};
use kubechat_crds::{CommandPlan, RequestPhase};
use serde_json::json;

use super::super::tools::{ends_as, recorded_refusal, says_prompt};
use super::super::turn::says;
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![a_plan_that_would_be_longer_than_an_object_should_be_is_blocked_and_says_the_limit]
}

async fn a_plan_that_would_be_longer_than_an_object_should_be_is_blocked_and_says_the_limit(
    ctx: Arc<Ctx>,
) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("too-long").await?;
    let alice = ctx.client("alice").await?;
    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    // What each object's annotation was undoes the change: 80 times 4 KB are more than the 256 KiB of a plan.
    let make = |number: usize| {
        let note = format!("{number} {}", "word ".repeat(800));
        let map = json!({"metadata": {
            "name": format!("long-{number}"), "labels": {"notes": "long"}, "annotations": {"note": note},
        }});
        let maps = maps.clone();
        async move {
            let map: ConfigMap = serde_json::from_value(map)?;
            maps.create(&PostParams::default(), &map).await?;
            anyhow::Ok(())
        }
    };
    try_join_all((0..80).map(make)).await?;
    let prompt = says_prompt("kubectl annotate configmap -l notes=long note=short --overwrite");
    let (turn, said) = ends_as(&alice, &namespace, prompt, RequestPhase::Blocked, "LimitExceeded").await?;
    says(
        &said,
        &[
            "the plan would be",
            "the limit is 262144",
            "Nothing was done",
            "Ask for less",
        ],
    )?;
    recorded_refusal(product, &turn, "LimitExceeded").await?;
    let plans: Api<CommandPlan> = Api::namespaced(alice, &namespace);
    let made = plans.list(&ListParams::default()).await?.items;
    anyhow::ensure!(made.is_empty(), "{} plans were made", made.len());
    Ok(())
}
