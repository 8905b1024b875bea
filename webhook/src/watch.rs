//! What the webhook keeps up to date: its two Secrets (by name, nothing else) and the RiskPolicies.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::ResourceExt as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, reflector, watcher as watch};
use kubechat_core::seal::{self, SealKeys};
use kubechat_crds::RiskPolicy;
use tokio_util::sync::CancellationToken;

use crate::state::State;
use crate::tls;

/// Keeps the seal keys of the state those of the Secret.
pub(crate) async fn seal_keys(
    client: kube::Client,
    state: Arc<State>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let take = |data: &BTreeMap<String, ByteString>| match SealKeys::from_secret_data(data) {
        Ok(keys) => {
            tracing::info!(
                current = keys.current.id,
                rotating = keys.previous.is_some(),
                "seal keys read"
            );
            state.set_keys(keys);
        }
        Err(error) => tracing::error!(%error, "seal keys not taken"),
    };
    secret(client, &state.namespace, seal::SECRET_NAME, stop, take).await
}

/// Keeps the certificate of the state that of the Secret.
pub(crate) async fn certificate(
    client: kube::Client,
    state: Arc<State>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let take = |data: &BTreeMap<String, ByteString>| match tls::server_config(data) {
        Ok(config) => {
            tracing::info!("serving certificate read");
            state.set_tls(config);
        }
        Err(error) => tracing::error!(%error, "serving certificate not taken"),
    };
    secret(client, &state.namespace, tls::SECRET_NAME, stop, take).await
}

/// Watches one Secret by name. A deleted Secret changes nothing.
async fn secret(
    client: kube::Client,
    namespace: &str,
    name: &'static str,
    stop: CancellationToken,
    mut take: impl FnMut(&BTreeMap<String, ByteString>),
) -> anyhow::Result<()> {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let events = watch(api, only).default_backoff();
    follow(events, stop, name, |event| match event {
        Event::Apply(secret) | Event::InitApply(secret) => take(&secret.data.unwrap_or_default()),
        Event::Delete(_) => tracing::warn!(name, "Secret deleted; what was read from it stays in use"),
        Event::Init | Event::InitDone => {}
    })
    .await
}

/// Keeps the RiskPolicies of the state those of the cluster.
pub(crate) async fn policies(
    client: kube::Client,
    state: Arc<State>,
    writer: Writer<RiskPolicy>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let api: Api<RiskPolicy> = Api::all(client);
    let pruned = watch(api, watcher::Config::default())
        .default_backoff()
        .modify(|policy| policy.managed_fields_mut().clear());
    follow(
        reflector(writer, pruned),
        stop,
        "RiskPolicies",
        |event| match event {
            Event::InitDone => state.set_policies_synced(),
            Event::Init | Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
        },
    )
    .await
}

/// Handles events until stopped. The stream heals itself (backoff), so its errors are only told.
async fn follow<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    stop: CancellationToken,
    what: &'static str,
    mut handle: impl FnMut(Event<K>),
) -> anyhow::Result<()> {
    let mut events = std::pin::pin!(events);
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            event = events.next() => event,
        };
        match event {
            Some(Ok(event)) => handle(event),
            Some(Err(error)) => tracing::warn!(%error, what, "watch failed; it is tried again"),
            None => anyhow::bail!("the watch of {what} ended"),
        }
    }
}
