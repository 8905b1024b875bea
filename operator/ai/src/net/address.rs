//! Which addresses may be connected to, after a name was resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a provider's traffic may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only these: the ClusterIPs of the Service, as the API server says them.
    ClusterLocal(Vec<IpAddr>),
    /// This machine, in development and local mode.
    Loopback,
    /// Hosts that a RiskPolicy names.
    External,
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No base URL of http or https, or one with user, query or fragment.
    #[error("the endpoint is no URL that may be reached")]
    Url,
    /// Plain HTTP to the outside.
    #[error("the endpoint outside the cluster is not https")]
    Plain,
    /// The certificates cannot be used.
    #[error("the provider's CA cannot be used")]
    Roots,
    /// The key holds what no header may.
    #[error("the provider's key cannot be used")]
    Credential,
    /// Link-local, metadata, unspecified, multicast.
    #[error(
        "the endpoint's name leads to an address that is never reached (link-local, metadata, multicast)"
    )]
    Forbidden,
    /// Not one of the Service's, or not of this machine, or of this machine while it is to be outside.
    #[error("the endpoint's name leads to an address that is not where the provider's egress may go")]
    Elsewhere,
}

impl Reach {
    /// Whether HTTP without TLS may be spoken there.
    pub(super) const fn may_be_plain(&self) -> bool {
        match self {
            Self::ClusterLocal(_) | Self::Loopback => true,
            Self::External => false,
        }
    }

    /// Judges a resolved address.
    pub(super) fn judge(&self, address: IpAddr) -> Result<(), Refused> {
        let address = unwrapped(address);
        if is_never(address) {
            return Err(Refused::Forbidden);
        }
        let here = address.is_loopback();
        let may = match self {
            Self::ClusterLocal(own) => own.iter().any(|ip| unwrapped(*ip) == address),
            Self::Loopback => here,
            Self::External => !here,
        };
        if may { Ok(()) } else { Err(Refused::Elsewhere) }
    }
}

/// The IPv4 address within an IPv6 one: mapped, NAT64 (RFC 6052), 6to4 (RFC 3056).
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else {
        return address.to_canonical();
    };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let four = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f] {
        [0x64, 0xff9b, 0, 0, 0, 0] => four(g, h),
        [0x2002, high, low, ..] => four(high, low),
        _ => IpAddr::V6(v6),
    }
}

fn is_never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.octets()[0] == 0
                // Metadata services of clouds beside 169.254.169.254.
                || v4 == Ipv4Addr::new(100, 100, 100, 200)
                || v4 == Ipv4Addr::new(168, 63, 129, 16)
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_never_reached_however_written() {
        let own: Vec<IpAddr> = vec!["169.254.169.254".parse().unwrap()];
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            let ip: IpAddr = text.parse().unwrap();
            for reach in [Reach::External, Reach::Loopback, Reach::ClusterLocal(own.clone())] {
                assert_eq!(reach.judge(ip), Err(Refused::Forbidden), "{text} {reach:?}");
            }
        }
    }

    #[test]
    fn each_reach_takes_its_own_addresses_only() {
        let cluster = Reach::ClusterLocal(vec!["10.96.0.20".parse().unwrap()]);
        for (reach, ip, may) in [
            (&cluster, "10.96.0.20", true),
            (&cluster, "::ffff:10.96.0.20", true),
            (&cluster, "10.96.0.21", false),
            (&cluster, "127.0.0.1", false),
            (&Reach::Loopback, "127.0.0.1", true),
            (&Reach::Loopback, "::1", true),
            (&Reach::Loopback, "10.0.0.1", false),
            (&Reach::External, "203.0.113.7", true),
            (&Reach::External, "10.0.0.1", true),
            (&Reach::External, "127.0.0.1", false),
            (&Reach::External, "::ffff:127.0.0.1", false),
        ] {
            let judged = reach.judge(ip.parse().unwrap());
            assert_eq!(
                judged,
                if may { Ok(()) } else { Err(Refused::Elsewhere) },
                "{reach:?} {ip}"
            );
        }
    }
}
