//! The names and addresses that this server's certificate authority may certify (name constraints, RFC 5280, 4.2.1.10):
//! local names, private networks, and the names that the operator had configured when the authority was created.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use serde::{Deserialize, Serialize};

/// Domains that public DNS does not delegate. All names below them are permitted, too.
const LOCAL_DOMAINS: [&str; 5] = ["local", "lan", "home.arpa", "internal", "localhost"];

/// Private, link-local, shared and loopback networks (RFC 1918, 3927, 6598, 4193, 4291): address and prefix length.
const PRIVATE_NETWORKS: [(IpAddr, u8); 9] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

/// The permitted subtrees of an authority: the local domains and networks above, and the configured names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct PermittedSubtrees {
    /// DNS names, and addresses as text.
    configured: Vec<String>,
}

impl PermittedSubtrees {
    /// `names` are DNS names, and addresses as text. Names in a local domain are permitted without being listed.
    pub(super) fn new(names: &[String]) -> Self {
        let configured = names.iter().filter(|name| !is_local(name));
        PermittedSubtrees {
            configured: configured.cloned().collect(),
        }
    }

    /// The configured names and addresses.
    pub(super) fn configured(&self) -> &[String] {
        &self.configured
    }

    /// Whether clients accept a certificate of the authority for the DNS name `name`.
    pub(super) fn includes_name(&self, name: &str) -> bool {
        is_local(name)
            || self
                .configured
                .iter()
                .any(|domain| is_at_or_below(name, domain))
    }

    /// Whether clients accept a certificate of the authority for `address`.
    pub(super) fn includes_address(&self, address: IpAddr) -> bool {
        let is_private = PRIVATE_NETWORKS
            .iter()
            .any(|(network, length)| is_in_network(address, *network, *length));
        is_private || (self.configured.iter()).any(|name| name.parse() == Ok(address))
    }

    /// The subtrees as a certificate extension.
    pub(super) fn to_extension(&self) -> NameConstraints {
        let networks = PRIVATE_NETWORKS
            .iter()
            .map(|(network, length)| CidrSubnet::from_addr_prefix(*network, *length))
            .map(GeneralSubtree::IpAddress);
        let local = LOCAL_DOMAINS.map(|name| GeneralSubtree::DnsName(name.into()));
        let configured = self.configured.iter().map(|name| match name.parse() {
            Ok(address) => {
                let length = if IpAddr::is_ipv4(&address) { 32 } else { 128 };
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, length))
            }
            Err(_) => GeneralSubtree::DnsName(name.clone()),
        });
        NameConstraints {
            permitted_subtrees: local
                .into_iter()
                .chain(configured)
                .chain(networks)
                .collect(),
            excluded_subtrees: Vec::new(),
        }
    }
}

fn is_local(name: &str) -> bool {
    LOCAL_DOMAINS
        .iter()
        .any(|domain| is_at_or_below(name, domain))
}

/// Whether `name` is `domain` itself or has more labels to its left.
fn is_at_or_below(name: &str, domain: &str) -> bool {
    let rest = name.strip_suffix(domain);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_in_network(address: IpAddr, network: IpAddr, prefix_length: u8) -> bool {
    let common_bits = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    common_bits >= u32::from(prefix_length)
}
