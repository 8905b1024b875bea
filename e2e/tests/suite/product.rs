//! How KubeChat runs: two processes under their own accounts, which come back when killed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};
use kubechat_e2e::cluster::{Options, client_for};
use kubechat_e2e::product::{self, Part};
use kubechat_e2e::wait::eventually;
use nix::sys::signal::Signal;

use crate::runner::{Ctx, Test, own, shared, with_product};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn tests() -> Vec<Test> {
    let shared = shared![operator_and_webhook_run_under_their_own_accounts];
    [
        shared,
        own![a_killed_part_comes_back_and_a_stopped_one_stays_down],
    ]
    .concat()
}

async fn operator_and_webhook_run_under_their_own_accounts(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    for (part, account) in [
        (Part::Operator, "kubechat-operator"),
        (Part::Webhook, "kubechat-webhook"),
    ] {
        ensure!(product.pid(part).is_some(), "the {} does not run", part.name());
        let client = client_for(&product.kubeconfig(account), None).await?;
        let review = Api::all(client)
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await?;
        let user = review
            .status
            .and_then(|status| status.user_info)
            .context("no identity")?;
        let expected = format!("system:serviceaccount:kubechat-system:{account}");
        ensure!(user.username.as_deref() == Some(&expected), "it is {user:?}");
        let groups = user.groups.unwrap_or_default();
        ensure!(
            !groups.iter().any(|group| group == "system:masters"),
            "it is an administrator: {groups:?}"
        );
        ensure!(!product.metrics_text(part).await?.is_empty(), "it has no metrics");
    }
    Ok(())
}

async fn a_killed_part_comes_back_and_a_stopped_one_stays_down() -> Result<()> {
    with_product(
        Options::default(),
        product::Options::default(),
        async |_, product| {
            for part in [Part::Operator, Part::Webhook] {
                let first = product.pid(part).context("it does not run")?;
                product.kill(part, Signal::SIGKILL)?;
                eventually(SOON, "it was started again", || async {
                    ensure!(
                        product.pid(part).is_some_and(|pid| pid != first),
                        "it is {:?}",
                        product.pid(part)
                    );
                    Ok(())
                })
                .await?;
                product.wait_ready(part).await?;
            }
            product.stop(Part::Webhook).await?;
            let down = product.pid(Part::Webhook);
            ensure!(down.is_none(), "the webhook runs: {down:?}");
            ensure!(
                product.kill(Part::Webhook, Signal::SIGKILL).is_err(),
                "a dead process got a signal"
            );
            product.resume(Part::Webhook).await?;
            product.start_second_operator().await?;
            ensure!(
                product.pid(Part::SecondOperator) != product.pid(Part::Operator),
                "there is one operator"
            );
            Ok(())
        },
    )
    .await
}
