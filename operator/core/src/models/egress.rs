//! Where a provider's traffic may go. `ClusterLocal`: a Service whose selector picks Pods, by its ClusterIP. `External`: only
//! a host that a RiskPolicy names in `egressHosts`. Loopback: only where the operator was started for development.
//!
//! **Invariant:** what is not known to be allowed is refused. The resolved address is judged again at each connect
//! (`kubechat-ai`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use kubechat_crds::AIProviderSpec;
use kubechat_crds::ai_provider::Egress;
use url::{Host, Url};

use crate::reason;

/// Type of the Secrets that providers' keys are in.
pub const CREDENTIAL_TYPE: &str = "kubechat.io/credential";
/// Annotation of such a Secret: the one host its values may be sent to.
pub const ALLOWED_HOST: &str = "kubechat.io/allowed-host";
/// The controller that fills EndpointSlices from a Service's selector.
const SLICE_CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// Where an endpoint is, before the cluster is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A Service of this cluster.
    Service {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// This machine.
    Loopback,
    /// A host that a policy names.
    External,
}

/// Why nothing is sent: reason of the condition and message.
pub type Refused = (&'static str, String);

fn refused<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err((reason::EGRESS_NOT_ALLOWED, why.into()))
}

/// The endpoint of a provider as a URL, and where it is.
///
/// # Errors
/// Reason and message of `Ready=False`.
pub fn destination(
    spec: &AIProviderSpec,
    development: bool,
    egress_hosts: &[String],
) -> Result<(Url, Destination), Refused> {
    let Some(text) = &spec.endpoint else {
        return Err((reason::INVALID, "spec.endpoint is missing".to_owned()));
    };
    let Ok(url) = Url::parse(text) else {
        return Err((reason::INVALID, "spec.endpoint is no URL".to_owned()));
    };
    let destination = match spec.egress {
        Egress::ClusterLocal => cluster_local(&url, development)?,
        Egress::External => external(&url, egress_hosts)?,
    };
    Ok((url, destination))
}

fn cluster_local(url: &Url, development: bool) -> Result<Destination, Refused> {
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if loopback && development {
        return Ok(Destination::Loopback);
    }
    if loopback {
        return refused(
            "spec.endpoint is this machine, which only an operator that was started with --development reaches. Name a Service: http://SERVICE.NAMESPACE.svc:PORT",
        );
    }
    let service = match url.host() {
        Some(Host::Domain(name)) => service_of(name),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => None,
    };
    service.map_or_else(
        || refused("spec.endpoint is no Service of this cluster, while egress is ClusterLocal. Write http://SERVICE.NAMESPACE.svc:PORT, or set egress: External and name the host in a RiskPolicy's egressHosts"),
        |(name, namespace)| Ok(Destination::Service { name, namespace }),
    )
}

/// Service and namespace of `SERVICE.NAMESPACE.svc[.cluster.local]`.
fn service_of(host: &str) -> Option<(String, String)> {
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    match labels.as_slice() {
        [name, namespace, "svc"] | [name, namespace, "svc", "cluster", "local"]
            if !name.is_empty() && !namespace.is_empty() =>
        {
            Some(((*name).to_owned(), (*namespace).to_owned()))
        }
        _ => None,
    }
}

fn external(url: &Url, egress_hosts: &[String]) -> Result<Destination, Refused> {
    if url.scheme() != "https" {
        return refused(
            "spec.endpoint is not https, while egress is External. Nothing leaves the cluster in the clear",
        );
    }
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let named = !host.is_empty()
        && egress_hosts
            .iter()
            .any(|h| h.trim_end_matches('.').eq_ignore_ascii_case(host));
    if named {
        Ok(Destination::External)
    } else {
        refused(format!(
            "no RiskPolicy names {host} in egressHosts, so nothing is sent to it. Somebody who may write RiskPolicies must add it"
        ))
    }
}

/// A Service and its EndpointSlices, as far as they are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFacts {
    /// `spec.type`.
    pub type_: String,
    /// `spec.selector`.
    pub selector: BTreeMap<String, String>,
    /// `spec.clusterIPs`.
    pub cluster_ips: Vec<String>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<String>,
    /// Per slice: who manages it (label), and the kind each endpoint's `targetRef` has.
    pub slices: Vec<(Option<String>, Vec<Option<String>>)>,
}

/// The addresses that may be connected to: the Service's own, if it leads to Pods and to nothing else.
///
/// # Errors
/// Reason and message of `Ready=False`.
pub fn service_addresses(facts: &ServiceFacts) -> Result<Vec<IpAddr>, Refused> {
    if !matches!(facts.type_.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        return refused(format!(
            "its Service is of type {}, which may lead anywhere",
            facts.type_
        ));
    }
    if facts.selector.is_empty() {
        return refused("its Service has no selector, so its endpoints may be anywhere");
    }
    if !facts.external_ips.is_empty() {
        return refused("its Service has externalIPs");
    }
    let addresses: Result<Vec<IpAddr>, _> = facts.cluster_ips.iter().map(|ip| ip.parse()).collect();
    let Ok(addresses) = addresses else {
        return refused(
            "its Service has no ClusterIP (headless Services are not used: their addresses change)",
        );
    };
    if addresses.is_empty() {
        return refused("its Service has no ClusterIP yet");
    }
    for (manager, endpoints) in &facts.slices {
        if manager.as_deref() != Some(SLICE_CONTROLLER) {
            return refused(
                "its Service has an EndpointSlice that somebody wrote by hand, which may lead anywhere",
            );
        }
        if endpoints.iter().any(|kind| kind.as_deref() != Some("Pod")) {
            return refused("its Service has an endpoint that is no Pod");
        }
    }
    if facts.slices.iter().all(|(_, endpoints)| endpoints.is_empty()) {
        return Err((
            reason::UNREACHABLE,
            "its Service has no endpoints: no Pod is behind it".to_owned(),
        ));
    }
    Ok(addresses)
}

/// Whether a Secret may be used for an endpoint.
///
/// # Errors
/// Reason and message of `Ready=False`; never a value.
pub fn credential(
    type_: Option<&str>,
    annotations: &BTreeMap<String, String>,
    url: &Url,
) -> Result<(), Refused> {
    let no = |why: String| Err((reason::CREDENTIAL_INVALID, why));
    if type_ != Some(CREDENTIAL_TYPE) {
        return no(format!(
            "its Secret is not of type {CREDENTIAL_TYPE}, so its values are not used"
        ));
    }
    let host = url.host_str().unwrap_or_default();
    match annotations.get(ALLOWED_HOST) {
        Some(allowed) if allowed.eq_ignore_ascii_case(host) => Ok(()),
        Some(_) => no(format!(
            "the annotation {ALLOWED_HOST} of its Secret names another host than spec.endpoint ({host}), so its values are not sent there"
        )),
        None => no(format!(
            "its Secret has no annotation {ALLOWED_HOST}: {host}, so its values are not sent anywhere"
        )),
    }
}

#[cfg(test)]
#[path = "egress_tests.rs"]
mod tests;
