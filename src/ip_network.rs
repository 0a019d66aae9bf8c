//! IP networks in CIDR notation.

use std::net::{AddrParseError, IpAddr};
use std::num::ParseIntError;
use std::str::FromStr;

/// An IPv4 or IPv6 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNetwork {
    /// Any address of the network; the bits after the prefix are ignored.
    address: IpAddr,
    /// The number of leading bits that all addresses of the network have in common.
    prefix_length: u32,
}

/// Why a text is not a network.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseNetworkError {
    /// There is no IP address at the beginning.
    #[error("not an IP address, such as 192.168.1.7, or a network, such as 172.16.0.0/12")]
    Address(#[from] AddrParseError),
    /// The text after the slash is not a number.
    #[error("the length of a network's prefix must be a number")]
    Prefix(#[from] ParseIntError),
    /// The prefix is longer than the address. Contains the length of the address in bits.
    #[error("the prefix of this network has at most {0} bits")]
    TooLong(u32),
}

impl IpNetwork {
    /// Whether `address` is in the network. An IPv4 address that is mapped to IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u64::from(own.to_bits() ^ other.to_bits());
                differing >> (32 - self.prefix_length) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.checked_shr(128 - self.prefix_length).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for IpNetwork {
    type Err = ParseNetworkError;

    /// Parses an address, or an address, a slash and the length of the prefix.
    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let (address, prefix_length) = match text.trim().split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse()?;
        let address_bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_length = prefix_length.map_or(Ok(address_bits), str::parse)?;
        if prefix_length > address_bits {
            return Err(ParseNetworkError::TooLong(address_bits));
        }
        Ok(IpNetwork {
            address,
            prefix_length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_the_addresses_with_the_same_prefix() {
        for (network, address, is_inside) in [
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "::ffff:192.168.1.7", true),
            ("192.168.1.7", "192.168.1.6", false),
            ("192.168.1.7/24", "192.168.1.200", true),
            ("192.168.1.0/24", "192.168.2.1", false),
            ("172.16.0.0/12", "172.31.255.255", true),
            ("172.16.0.0/12", "172.32.0.0", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::1", "::1", true),
            ("::1", "127.0.0.1", false),
            ("fd00::/8", "fdab::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::1/128", "2001:db8::2", false),
        ] {
            let parsed: IpNetwork = network.parse().unwrap();
            let contains = parsed.contains(address.parse().unwrap());
            assert_eq!(contains, is_inside, "{address} in {network}");
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "",
            "nginx",
            "192.168.1",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<IpNetwork>().is_err(), "{text}");
        }
    }
}
