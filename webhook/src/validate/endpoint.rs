//! URLs that KubeChat may be told to reach. Whoever reaches one checks the resolved address again; here people hear at
//! once of what can never be allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::refusal::{Refusal, reason};

/// Names under which clouds serve credentials to whoever asks.
const METADATA_HOSTS: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
];
/// Addresses of metadata services outside the link-local ranges.
const METADATA_ADDRESSES: &[IpAddr] = &[
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

/// Where traffic may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// A Service of this cluster, or loopback (local mode).
    Cluster,
    /// Any host.
    Anywhere,
}

/// Refuses a URL that must not be reached. The message names the field, not the URL, which may hold a password.
pub(super) fn check(field: &str, text: &str, reach: Reach) -> Result<(), Refusal> {
    let no = |why: &str, help: &str| {
        Err(Refusal::invalid(
            reason::ENDPOINT_NOT_ALLOWED,
            format!("{field} {why}. Nothing was stored. {help}"),
        ))
    };
    let Ok(url) = Url::parse(text) else {
        return no("is no URL", "Write it as https://host[:port]/path");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return no(
            "is neither http nor https",
            "Write it as https://host[:port]/path",
        );
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return no(
            "holds a user or password",
            "Put credentials into a Secret and name it by secretRef",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return no(
            "holds a query or fragment",
            "Leave out everything from ? or # on; credentials belong into a Secret",
        );
    }
    let Some(host) = url.host() else {
        return no("names no host", "Write it as https://host[:port]/path");
    };
    if is_metadata(&host) {
        return no(
            "points at a link-local or metadata address",
            "Name the host of the service itself",
        );
    }
    if reach == Reach::Cluster && !is_in_cluster(&host) {
        return no(
            "is not in this cluster, while egress is ClusterLocal",
            "Write http(s)://SERVICE.NAMESPACE.svc, or set egress: External and name the host in a RiskPolicy's egressHosts",
        );
    }
    Ok(())
}

fn is_metadata(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            METADATA_HOSTS.contains(&name.trim_end_matches('.').to_ascii_lowercase().as_str())
        }
        Host::Ipv4(address) => is_metadata_address(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_metadata_address(IpAddr::V6(*address)),
    }
}

fn is_metadata_address(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast(),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast() || embeds_link_local(v6)
        }
    };
    link_local || METADATA_ADDRESSES.contains(&address)
}

/// NAT64 (64:ff9b::/96) and 6to4 (2002::/16) addresses that lead to a link-local IPv4 address.
fn embeds_link_local(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low).is_link_local(),
        _ => false,
    }
}

fn is_in_cluster(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain("localhost") => true,
        Host::Domain(name) => {
            let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
            matches!(labels.as_slice(), [service, namespace, "svc", ..] if !service.is_empty() && !namespace.is_empty())
                && (labels.len() == 3 || labels.ends_with(&["cluster", "local"]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_services_of_the_cluster_and_loopback() {
        for good in [
            "http://ollama.ai.svc:11434",
            "https://ollama.ai.svc.cluster.local/v1",
            "http://127.0.0.1:11434",
            "http://[::1]:11434",
            "http://localhost:8080/v1",
        ] {
            assert_eq!(check("f", good, Reach::Cluster), Ok(()), "{good}");
        }
        assert_eq!(check("f", "https://api.example.org/v1", Reach::Anywhere), Ok(()));
    }

    #[test]
    fn refuses_hosts_outside_the_cluster_when_cluster_local() {
        for bad in [
            "https://api.example.org",
            "http://10.0.0.1",
            "http://ollama",
            "http://ollama.ai",
            "http://ollama.ai.svc.evil.example.org",
            "http://svc.cluster.local",
            "http://a..svc",
        ] {
            assert!(check("f", bad, Reach::Cluster).is_err(), "{bad}");
        }
    }

    #[test]
    fn refuses_metadata_addresses_however_they_are_written() {
        for bad in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xA9FEA9FE/",
            "http://0251.0376.0251.0376/",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fd00:ec2::254]/",
            "http://metadata.google.internal/",
            "http://METADATA.google.internal./",
            "http://0.0.0.0/",
            "http://100.100.100.200/",
        ] {
            let refusal = check("spec.endpoint", bad, Reach::Anywhere).unwrap_err();
            assert_eq!(refusal.reason, reason::ENDPOINT_NOT_ALLOWED, "{bad}");
        }
    }

    #[test]
    fn refuses_credentials_other_schemes_and_what_is_no_url_without_echoing_it() {
        for bad in [
            "https://user:pass@api.example.org",
            "https://token@api.example.org",
            "https://api.example.org/?key=abc",
            "https://api.example.org/#x",
            "file:///etc/passwd",
            "ftp://example.org",
            "unix:///run/x.sock",
            "example.org",
            "https://",
            "",
        ] {
            let refusal = check("spec.endpoint", bad, Reach::Anywhere).unwrap_err();
            assert!(refusal.message.starts_with("spec.endpoint "), "{bad}");
            assert!(
                !refusal.message.contains("pass@") && !refusal.message.contains("key=abc"),
                "{refusal:?}"
            );
        }
    }
}
