//! From an AIProvider to something that can be asked: its endpoint judged, its Service and its Secret read. Done anew for each
//! turn, so that what an administrator takes away is gone at once.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use kubechat_ai::net::{Reach, Server};
use kubechat_ai::wire::Dialect;
use kubechat_ai::{Limits, Provider, Setup};
use kubechat_core::interpret::RULES;
use kubechat_core::lifecycle::ai_provider;
use kubechat_core::models::egress::{self, Destination, Refused, ServiceFacts};
use kubechat_core::{duration, reason};
use kubechat_crds::AIProvider;
use kubechat_crds::ai_provider::SecretKeyRef;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::Models;
use crate::cluster::client::call;
use crate::error::Error;

/// EndpointSlices of a Service at most; more are not judged, and so not trusted.
const MAX_SLICES: u32 = 100;
/// Longest wait for one answer, whatever the spec says.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Label that names the Service of an EndpointSlice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label that names who keeps an EndpointSlice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// Something to ask.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) provider: Provider,
    pub(crate) model: String,
}

/// Judges a provider's endpoint and makes it ready to be asked.
pub(crate) async fn connect(
    models: &Models,
    provider: &AIProvider,
    cached: bool,
) -> Result<Connected, Refused> {
    let spec = &provider.spec;
    if let Some(why) = ai_provider::unsupported(spec) {
        return Err((reason::NOT_SUPPORTED, why.to_owned()));
    }
    let Some(dialect) = Dialect::of(spec.type_) else {
        return Err((reason::NOT_SUPPORTED, "type Rules is no model".to_owned()));
    };
    if provider.name_any() == RULES {
        let why = format!("the name {RULES} belongs to the built-in interpreter; give this one another");
        return Err((reason::INVALID, why));
    }
    let Some(model) = spec.model.clone().filter(|model| !model.is_empty()) else {
        return Err((reason::INVALID, "spec.model is missing".to_owned()));
    };
    // Half a policy is none: while one cannot be honoured, nothing leaves the cluster.
    let hosts: Vec<String> = match models.live.together(models.policies.state()) {
        Ok(_) => {
            let packs = models.policies.state();
            packs
                .iter()
                .flat_map(|pack| pack.spec.egress_hosts.clone())
                .collect()
        }
        Err(_) => vec![],
    };
    let (url, destination) = egress::destination(spec, models.development(), &hosts)?;
    let reach = match &destination {
        Destination::Service { name, namespace } => {
            let facts = service(models, name, namespace).await?;
            Reach::ClusterLocal(egress::service_addresses(&facts)?)
        }
        Destination::Loopback => Reach::Loopback,
        Destination::External => Reach::External,
    };
    let key = match &spec.secret_ref {
        Some(of) => Some(secret(models, of, Some(&url)).await?),
        None => None,
    };
    let tls = spec.tls.clone().unwrap_or_default();
    let roots = match &tls.ca_secret_ref {
        Some(of) => {
            let pem = secret(models, of, None).await?;
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            read.ok().filter(|roots| !roots.is_empty()).ok_or_else(|| {
                (
                    reason::CREDENTIAL_INVALID,
                    "the CA of spec.tls.caSecretRef holds no certificate in PEM".to_owned(),
                )
            })?
        }
        None if url.scheme() == "https" => rustls_native_certs::load_native_certs().certs,
        None => vec![],
    };
    let server = Server::new(&url, reach, &roots, tls.server_name.as_deref())
        .map_err(|failure| (reason::EGRESS_NOT_ALLOWED, failure.to_string()))?;
    let mut limits = Limits::default();
    if let Some(timeout) = spec.timeout.as_deref().and_then(duration::parse) {
        limits.timeout = timeout.min(LONGEST_TIMEOUT);
    }
    if let Some(tokens) = spec.max_tokens.and_then(|n| u32::try_from(n).ok()) {
        limits.max_tokens = tokens;
    }
    let cache = cached.then(|| {
        let uid = provider.uid().unwrap_or_default();
        (
            models.cache(),
            uid,
            provider.metadata.generation.unwrap_or_default(),
        )
    });
    let setup = Setup {
        dialect,
        server,
        model: model.clone(),
        key,
        limits,
        cache,
    };
    Ok(Connected {
        provider: Provider::new(setup),
        model,
    })
}

fn unread(what: &str, error: &Error) -> Refused {
    if error.is_not_found() {
        return (reason::INVALID, format!("there is no {what}"));
    }
    (reason::UNREACHABLE, format!("{what} could not be read: {error}"))
}

async fn service(models: &Models, name: &str, namespace: &str) -> Result<ServiceFacts, Refused> {
    let what = format!("Service {namespace}/{name}");
    let services: Api<Service> = Api::namespaced(models.client.clone(), namespace);
    let service = call("read the provider's Service", services.get(name))
        .await
        .map_err(|error| unread(&what, &error))?;
    let slices: Api<EndpointSlice> = Api::namespaced(models.client.clone(), namespace);
    let params = ListParams::default()
        .labels(&format!("{SERVICE_NAME}={name}"))
        .limit(MAX_SLICES);
    let found = call("read the provider's endpoints", slices.list(&params))
        .await
        .map_err(|error| unread(&format!("EndpointSlices of {what}"), &error))?;
    if found.metadata.continue_.is_some_and(|more| !more.is_empty()) {
        return Err((
            reason::EGRESS_NOT_ALLOWED,
            format!("{what} has more than {MAX_SLICES} EndpointSlices"),
        ));
    }
    let spec = service.spec.unwrap_or_default();
    let kinds = |slice: &EndpointSlice| {
        let endpoints = slice.endpoints.clone();
        endpoints
            .into_iter()
            .map(|e| e.target_ref.and_then(|target| target.kind))
            .collect()
    };
    Ok(ServiceFacts {
        type_: spec.type_.unwrap_or_else(|| "ClusterIP".to_owned()),
        selector: spec.selector.unwrap_or_default().into_iter().collect(),
        cluster_ips: spec.cluster_ips.unwrap_or_default(),
        external_ips: spec.external_ips.unwrap_or_default(),
        slices: found
            .items
            .iter()
            .map(|slice| (slice.labels().get(MANAGED_BY).cloned(), kinds(slice)))
            .collect(),
    })
}

/// A value of a Secret in the credentials namespace. One that is sent somewhere (`to`) must be meant for that host.
async fn secret(
    models: &Models,
    of: &SecretKeyRef,
    to: Option<&url::Url>,
) -> Result<Zeroizing<String>, Refused> {
    let namespace = models.credentials();
    let what = format!("Secret {namespace}/{}", of.name);
    let secrets: Api<Secret> = Api::namespaced(models.client.clone(), namespace);
    let found = call("read the provider's Secret", secrets.get(&of.name))
        .await
        .map_err(|error| unread(&what, &error))?;
    let annotations: BTreeMap<String, String> = found.annotations().clone();
    match to {
        Some(url) => egress::credential(found.type_.as_deref(), &annotations, url)?,
        None if found.type_.as_deref() == Some(egress::CREDENTIAL_TYPE) => {}
        None => {
            return Err((
                reason::CREDENTIAL_INVALID,
                format!("{what} is not of type {}", egress::CREDENTIAL_TYPE),
            ));
        }
    }
    let bytes = found.data.unwrap_or_default().remove(&of.key);
    let text = bytes
        .and_then(|bytes| String::from_utf8(bytes.0).ok())
        .map(Zeroizing::new);
    match text.filter(|text| !text.trim().is_empty()) {
        // Editors and shells leave a line's end.
        Some(text) => Ok(Zeroizing::new(text.trim().to_owned())),
        None => Err((
            reason::CREDENTIAL_INVALID,
            format!("{what} has no text under the key {}", of.key),
        )),
    }
}
