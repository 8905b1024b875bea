//! Two operators at once: one leads, and the other takes over, whatever becomes of the first.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};
use kubechat_crds::{PlanPhase, StepState};
use kubechat_e2e::cluster::Options;
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::product::{self, Part, Product};
use kubechat_e2e::wait::eventually;
use nix::sys::signal::Signal;

use super::crash::{config_map, short_lease};
use super::slow_hook::{Mood, SlowHook, rules};
use super::turn::{
    LATER, SOON, approve, audit_entries, ended_as, leads, metric, plan_for, step_entries, steps,
};
use crate::runner::{Test, own, with_product};

const DEMO: &str = "demo";
/// How soon another operator leads when the first one gave the lease back.
const AT_ONCE: Duration = Duration::from_secs(5);
/// How soon another operator leads when the first one is just gone: the lease of [`short_lease`], and the time to
/// notice on a loaded machine.
const LEASE_TIME: Duration = Duration::from_secs(5 + 5);

pub(crate) fn tests() -> Vec<Test> {
    own![
        one_of_two_operators_leads_and_the_other_takes_over_when_it_is_killed,
        a_stopped_leader_that_wakes_up_sends_nothing_more_and_ends,
        a_leader_that_ends_gives_the_lease_back_at_once,
    ]
}

/// The first operator stays down when it ends.
fn mortal() -> product::Options {
    product::Options {
        restart: false,
        ..short_lease()
    }
}

/// Starts the second operator, which must stand by.
async fn second(product: &Product) -> Result<()> {
    leads(product, Part::Operator).await?;
    product.start_second_operator().await?;
    product.wait_ready(Part::SecondOperator).await?;
    for (part, expected) in [(Part::Operator, 1.0), (Part::SecondOperator, 0.0)] {
        let leader = metric(product, part, "kubechat_leader").await?;
        ensure!(
            leader == expected,
            "kubechat_leader of the {} is {leader}",
            part.name()
        );
    }
    Ok(())
}

async fn takes_over(product: &Product, since: Instant, within: Duration) -> Result<()> {
    leads(product, Part::SecondOperator).await?;
    ensure!(since.elapsed() < within, "it took {:?}", since.elapsed());
    Ok(())
}

async fn one_of_two_operators_leads_and_the_other_takes_over_when_it_is_killed() -> Result<()> {
    with_product(Options::default(), mortal(), async |cluster, product| {
        let alice = cluster.client("alice").await?;
        second(product).await?;
        let plan = plan_for(&alice, DEMO, "scale nginx to 3 replicas").await?;
        let killed = Instant::now();
        product.kill(Part::Operator, Signal::SIGKILL)?;
        approve(&alice, &plan).await?;
        takes_over(product, killed, LEASE_TIME).await?;
        ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
        demo::wait_ready(&alice, DEMO, DEPLOYMENT, 3).await?;
        let found = step_entries(&audit_entries(product).await?, &plan);
        ensure!(found.len() == 2, "{found:?}");
        Ok(())
    })
    .await
}

/// The worst case: the leader is stopped while its write hangs, and the write lands after another one took over.
async fn a_stopped_leader_that_wakes_up_sends_nothing_more_and_ends() -> Result<()> {
    with_product(Options::default(), mortal(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        second(product).await?;
        for name in ["alpha", "beta"] {
            config_map(&admin, name).await?;
        }
        let held = plan_for(&alice, DEMO, "label configmap alpha tier=web").await?;
        let waiting = plan_for(&alice, DEMO, "label configmap beta tier=web").await?;
        let hook = SlowHook::start(&admin, Mood::Hold, rules()).await?;
        approve(&alice, &held).await?;
        hook.wait_for(1).await?;
        let stopped = Instant::now();
        product.kill(Part::Operator, Signal::SIGSTOP)?;
        approve(&alice, &waiting).await?;
        takes_over(product, stopped, LEASE_TIME).await?;
        let held = ended_as(&alice, &held, PlanPhase::Interrupted).await?;
        ensure!(steps(&held) == [StepState::Unknown], "{:?}", held.status);

        hook.set(Mood::Allow(0));
        let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), DEMO);
        eventually(SOON, "the held write lands", || async {
            ensure!(
                maps.get("alpha").await?.labels().contains_key("tier"),
                "it has not"
            );
            Ok(())
        })
        .await?;
        ended_as(&alice, &waiting, PlanPhase::Succeeded).await?;
        product.kill(Part::Operator, Signal::SIGCONT)?;
        eventually(SOON, "the old leader ends", || async {
            ensure!(product.pid(Part::Operator).is_none(), "it runs");
            Ok(())
        })
        .await?;
        ensure!(metric(product, Part::SecondOperator, "kubechat_leader").await? == 1.0);
        for name in ["alpha", "beta"] {
            ensure!(hook.writes_to(name) == 1, "{:?}", hook.writes());
        }
        let held = ended_as(&alice, &held, PlanPhase::Interrupted).await?;
        ensure!(
            steps(&held) == [StepState::Unknown],
            "the old leader wrote {:?}",
            held.status
        );
        let entries = audit_entries(product).await?;
        for (plan, result) in [(&held, "unknown"), (&waiting, "success")] {
            let found = step_entries(&entries, plan);
            let outcomes: Vec<&str> = found.iter().map(|(outcome, _)| outcome.as_str()).collect();
            ensure!(outcomes == ["intent", result], "{found:?}");
        }
        Ok(())
    })
    .await
}

async fn a_leader_that_ends_gives_the_lease_back_at_once() -> Result<()> {
    let long_lease = product::Options {
        restart: false,
        ..product::Options::default()
    };
    with_product(Options::default(), long_lease, async |cluster, product| {
        second(product).await?;
        let ended = Instant::now();
        product.kill(Part::Operator, Signal::SIGTERM)?;
        takes_over(product, ended, AT_ONCE).await?;
        eventually(LATER, "the first one is gone", || async {
            ensure!(product.pid(Part::Operator).is_none(), "it runs");
            Ok(())
        })
        .await?;
        let leases: Api<Lease> = Api::namespaced(cluster.client("admin").await?, "kubechat-system");
        let spec = leases
            .get("kubechat-operator")
            .await?
            .spec
            .context("an empty lease")?;
        ensure!(spec.lease_transitions == Some(2), "{spec:?}");
        Ok(())
    })
    .await
}
