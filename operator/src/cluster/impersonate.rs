//! Acting as the requester: the only place where an impersonating client is built.
//!
//! **Invariants:** no retry layer (a repeated POST is a second effect); privileged groups were dropped before
//! ([`kubechat_core::authz::acting`] is the only way to an [`Acting`]); the API server must echo the identity
//! (SelfSubjectReview) before a client is used; nothing ever falls back to the operator's own rights.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::client::{Body, ConfigExt};
use kube::{Api, Client, Config};
use kubechat_core::authz::Acting;
use kubechat_crds::PLAN_EXTRA;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder};

use super::client::call;
use crate::error::Error;

/// Clients kept for people who asked recently.
const MAX_CLIENTS: usize = 512;
/// How long a proven client is used without asking again.
const PROVEN_FOR: Duration = Duration::from_secs(300);

/// What carries requests to the API server.
pub type Http = BoxCloneSyncService<Request<Body>, Response<axum::body::Body>, BoxError>;

/// Makes clients that act as people. All share one connection pool.
pub struct Impersonator {
    config: Config,
    http: Mutex<Http>,
    proven: Mutex<HashMap<Acting, (Client, Instant)>>,
}

impl std::fmt::Debug for Impersonator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Impersonator")
    }
}

impl Impersonator {
    /// From the operator's own configuration.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(config: Config) -> Result<Self, kube::Error> {
        let connector = config.rustls_https_connector()?;
        let client: hyper_util::client::legacy::Client<_, Body> =
            hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
                .build(connector);
        let http = ServiceBuilder::new()
            .map_response(|answer: Response<_>| answer.map(axum::body::Body::new))
            .map_err(BoxError::from)
            .service(client);
        Ok(Self::over(config, Http::new(http)))
    }

    /// Over a connection of its own.
    #[must_use]
    pub fn over(config: Config, http: Http) -> Self {
        Self {
            config,
            http: Mutex::new(http),
            proven: Mutex::default(),
        }
    }

    /// A client for reads and dry-runs as this person. Kept for a while, because many turns come from the same people.
    ///
    /// # Errors
    /// When the API server does not let the operator act as this person.
    pub async fn reader(&self, acting: &Acting) -> Result<Client, Error> {
        let sent = sent(acting);
        let kept = {
            let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
            proven
                .get(&sent)
                .filter(|(_, since)| since.elapsed() < PROVEN_FOR)
                .map(|(client, _)| client.clone())
        };
        if let Some(client) = kept {
            return Ok(client);
        }
        let client = self.build(acting, None)?;
        prove(&client, acting).await?;
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if proven.len() >= MAX_CLIENTS {
            proven.retain(|_, (_, since)| since.elapsed() < PROVEN_FOR);
            if proven.len() >= MAX_CLIENTS {
                proven.clear();
            }
        }
        proven.insert(sent, (client.clone(), Instant::now()));
        Ok(client)
    }

    /// A client for the writes of one plan: the API server's audit log then names the plan's digest. Proven anew each time.
    ///
    /// # Errors
    /// When the API server does not let the operator act as this person.
    pub async fn writer(&self, acting: &Acting, plan_digest: &str) -> Result<Client, Error> {
        let client = self.build(acting, Some(plan_digest))?;
        prove(&client, acting).await?;
        Ok(client)
    }

    fn build(&self, acting: &Acting, plan: Option<&str>) -> Result<Client, Error> {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(acting.username.clone());
        config.auth_info.impersonate_groups = Some(acting.groups.clone()).filter(|g| !g.is_empty());
        config.auth_info.impersonate_uid = Some(acting.uid.clone()).filter(|u| !u.is_empty());
        config.auth_info.impersonate_user_extra =
            plan.map(|digest| [(PLAN_EXTRA.to_owned(), vec![digest.to_owned()])].into());
        let failed = |e: kube::Error| Error::Identity(format!("cannot act as {}: {e}", acting.username));
        let http = self.http.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer().map_err(failed)?)
            .layer(config.extra_headers_layer().map_err(failed)?)
            .service(http);
        Ok(Client::new(service, config.default_namespace))
    }
}

/// What the API server is told of this person when KubeChat reads: each login may bring other extras, which are not sent.
fn sent(acting: &Acting) -> Acting {
    Acting {
        dropped: vec![],
        extra: BTreeMap::new(),
        ..acting.clone()
    }
}

/// The API server must see exactly the person we mean.
async fn prove(client: &Client, acting: &Acting) -> Result<(), Error> {
    let review: Api<SelfSubjectReview> = Api::all(client.clone());
    let what = format!("act as {}", acting.username);
    let echoed = match call(
        what,
        review.create(&PostParams::default(), &SelfSubjectReview::default()),
    )
    .await
    {
        Ok(echoed) => echoed,
        Err(error) if error.status().is_some_and(|s| s.code == 403) => {
            return Err(Error::Identity(format!(
                "{error}. KubeChat may act only for groups named at installation; nothing was done. An administrator adds the group to the ClusterRole kubechat-operator (resource groups, verb impersonate)"
            )));
        }
        Err(error) => return Err(error),
    };
    let seen = echoed.status.and_then(|s| s.user_info).unwrap_or_default();
    let groups = seen.groups.unwrap_or_default();
    let same_user = seen.username.as_deref() == Some(acting.username.as_str());
    let same_uid = acting.uid.is_empty() || seen.uid.as_deref() == Some(acting.uid.as_str());
    let has_all = acting.groups.iter().all(|g| groups.contains(g));
    let no_more = groups.iter().all(|g| {
        acting.groups.contains(g) || g.starts_with("system:serviceaccounts") || g == "system:authenticated"
    });
    if same_user && same_uid && has_all && no_more {
        Ok(())
    } else {
        Err(Error::Identity(format!(
            "the API server does not see {} when KubeChat acts as this person; nothing was done",
            acting.username
        )))
    }
}

#[cfg(test)]
#[path = "impersonate_tests.rs"]
mod tests;
