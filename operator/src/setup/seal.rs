//! The seal key: Secret `kubechat-seal`, held by operator and webhook only. Made once; made anew when somebody who may change
//! the Secret asks for it ([`ROTATE`]).
//!
//! **Invariant:** the key before stays valid until the next rotation, so that whatever waits is not lost by one.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use kubechat_audit::{Actor, Draft, EventType, Outcome, Target};
use kubechat_core::reason;
use kubechat_core::seal::{
    CURRENT_ID, CURRENT_KEY, PREVIOUS_ID, PREVIOUS_KEY, SECRET_NAME, SealKey, SealKeys,
};
use rand::TryRngCore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::controllers::lane::watch;
use crate::error::Error;

/// Annotation of the Secret that asks for a new key. Its value does not matter; it is gone when the key is there.
pub const ROTATE: &str = "kubechat.io/rotate";

/// The keys in use; made when there are none.
///
/// # Errors
/// When the Secret cannot be read or written, or holds no usable keys (then nothing is trusted until it is mended).
pub async fn ensure(client: &Client, namespace: &str) -> Result<SealKeys, Error> {
    if let Some(secret) = super::read(client, namespace, SECRET_NAME).await? {
        return parse(&secret.data.unwrap_or_default());
    }
    let data = data(&fresh()?, None);
    let keys = parse(&data)?;
    super::write(client, namespace, SECRET_NAME, "Opaque", data, None).await?;
    tracing::info!("made the seal key");
    Ok(keys)
}

/// Keeps the keys of the context those of the Secret, and rotates them when asked.
pub(crate) fn follow(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    ctx: &Arc<Context>,
    shutdown: &CancellationToken,
) {
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &ctx.namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={SECRET_NAME}"));
    let changed = watcher(api, only).default_backoff().applied_objects();
    let ctx = Arc::clone(ctx);
    watch(tasks, changed, shutdown, move |secret| {
        let ctx = Arc::clone(&ctx);
        async move {
            if let Err(problem) = take(secret, &ctx).await {
                tracing::error!(%problem, "the seal keys were not taken; the ones before stay in use");
            }
        }
    });
}

/// Reads the keys anew: somebody saw a key that is not known here, and the webhook may have been told first.
///
/// # Errors
/// When the Secret cannot be read.
pub async fn refresh(ctx: &Context) -> Result<(), Error> {
    match super::read(&ctx.client, &ctx.namespace, SECRET_NAME).await? {
        Some(secret) => set(ctx, parse(&secret.data.unwrap_or_default())?),
        None => tracing::warn!("there is no Secret {SECRET_NAME}; the keys read before stay in use"),
    }
    Ok(())
}

/// Takes the keys of a Secret that was changed, after a rotation where it asks for one.
async fn take(secret: Secret, ctx: &Context) -> Result<(), Error> {
    let keys = parse(secret.data.as_ref().unwrap_or(&BTreeMap::new()))?;
    set(ctx, keys.clone());
    if !secret.annotations().contains_key(ROTATE) {
        return Ok(());
    }
    ctx.leadership.check()?;
    let made = fresh()?;
    let data = data(&made, Some(&keys.current));
    let rotated = parse(&data)?;
    let mut secret = secret;
    secret.annotations_mut().remove(ROTATE);
    super::write(
        &ctx.client,
        &ctx.namespace,
        SECRET_NAME,
        "Opaque",
        data,
        Some(secret),
    )
    .await?;
    set(ctx, rotated);
    let operator = Actor::named("kubechat-operator");
    let mut draft = Draft::new(
        EventType::ConfigurationChange,
        operator,
        "rotate",
        Outcome::Success,
        reason::SEAL_KEY_ROTATED,
    );
    draft.target = Some(Target {
        version: Some("v1".to_owned()),
        kind: Some("Secret".to_owned()),
        namespace: Some(ctx.namespace.clone()),
        name: Some(SECRET_NAME.to_owned()),
        ..Target::default()
    });
    draft.message = format!(
        "key {} seals now; key {} is still valid",
        made.id, keys.current.id
    );
    tracing::info!(
        current = made.id,
        previous = keys.current.id,
        "rotated the seal key"
    );
    ctx.audit.record(draft).await?;
    Ok(())
}

fn set(ctx: &Context, keys: SealKeys) {
    *ctx.seal.write().unwrap_or_else(PoisonError::into_inner) = keys;
}

fn fresh() -> Result<SealKey, Error> {
    let mut bytes = [0u8; 32];
    rand::rngs::OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|e| Error::Internal(format!("no randomness: {e}")))?;
    let id = kubechat_crds::sha256_hex(&bytes)[..8].to_owned();
    Ok(SealKey { id, bytes })
}

fn data(current: &SealKey, previous: Option<&SealKey>) -> BTreeMap<String, ByteString> {
    let halves = |id: &str, bytes: &str, key: &SealKey| {
        [
            (id.to_owned(), ByteString(key.id.clone().into_bytes())),
            (bytes.to_owned(), ByteString(key.bytes.to_vec())),
        ]
    };
    let previous = previous.map(|key| halves(PREVIOUS_ID, PREVIOUS_KEY, key));
    let current = halves(CURRENT_ID, CURRENT_KEY, current);
    current
        .into_iter()
        .chain(previous.into_iter().flatten())
        .collect()
}

fn parse(data: &BTreeMap<String, ByteString>) -> Result<SealKeys, Error> {
    SealKeys::from_secret_data(data).map_err(|e| Error::Dependency {
        reason: reason::UNTRUSTED_ORIGIN,
        message: e.to_string(),
    })
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
