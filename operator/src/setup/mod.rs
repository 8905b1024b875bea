//! What the leader keeps in order around itself: the seal key, the webhook's certificate, the CA bundle of its webhook
//! configurations.

pub mod seal;
pub mod tls;

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::cluster::client::call;
use crate::error::Error;

/// The data of a Secret, or `None` when there is none.
async fn read(client: &Client, namespace: &str, name: &str) -> Result<Option<Secret>, Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    match call(format!("read Secret {name}"), api.get(name)).await {
        Ok(secret) => Ok(Some(secret)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a Secret, or replaces the one that was read.
async fn write(
    client: &Client,
    namespace: &str,
    name: &str,
    type_: &str,
    data: BTreeMap<String, ByteString>,
    old: Option<Secret>,
) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let params = PostParams {
        dry_run: false,
        field_manager: Some(kubechat_crds::FIELD_MANAGER.to_owned()),
    };
    match old {
        Some(mut secret) => {
            secret.data = Some(data);
            call(
                format!("replace Secret {name}"),
                api.replace(name, &params, &secret),
            )
            .await?;
        }
        None => {
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(name.to_owned()),
                    ..ObjectMeta::default()
                },
                type_: Some(type_.to_owned()),
                data: Some(data),
                ..Secret::default()
            };
            call(format!("create Secret {name}"), api.create(&params, &secret)).await?;
        }
    }
    Ok(())
}
