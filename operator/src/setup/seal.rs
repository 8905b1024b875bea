//! The seal key: Secret `kubechat-seal`, made once, held by operator and webhook only.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use kube::Client;
use kubechat_core::seal::{CURRENT_ID, CURRENT_KEY, SECRET_NAME, SealKeys};
use rand::TryRngCore;

use crate::error::Error;

/// The keys in use; made when there are none.
///
/// # Errors
/// When the Secret cannot be read or written, or holds no usable keys (then nothing is trusted until it is mended).
pub async fn ensure(client: &Client, namespace: &str) -> Result<SealKeys, Error> {
    if let Some(secret) = super::read(client, namespace, SECRET_NAME).await? {
        return parse(&secret.data.unwrap_or_default());
    }
    let mut bytes = [0u8; 32];
    rand::rngs::OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|e| Error::Internal(format!("no randomness: {e}")))?;
    let id = kubechat_crds::sha256_hex(&bytes)[..8].to_owned();
    let data: BTreeMap<String, ByteString> = [
        (CURRENT_ID.to_owned(), ByteString(id.into_bytes())),
        (CURRENT_KEY.to_owned(), ByteString(bytes.to_vec())),
    ]
    .into();
    let keys = parse(&data)?;
    super::write(client, namespace, SECRET_NAME, "Opaque", data, None).await?;
    tracing::info!("made the seal key");
    Ok(keys)
}

fn parse(data: &BTreeMap<String, ByteString>) -> Result<SealKeys, Error> {
    SealKeys::from_secret_data(data).map_err(|e| Error::Dependency {
        reason: kubechat_core::reason::UNTRUSTED_ORIGIN,
        message: e.to_string(),
    })
}
