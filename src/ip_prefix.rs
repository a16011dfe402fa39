//! The network prefix that stands for one customer of an internet provider.
//!
//! An IPv6 host can take any address of its /64, so limits that count addresses have to count the prefix instead.

use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address that name the host inside its /64.
const HOST_BITS: u32 = 64;

/// The address that all addresses of one customer share: an IPv4 address itself, or the first address of an IPv6 /64.
/// An IPv4 address that is written as IPv6 (RFC 4291 §2.5.5.2) counts as IPv4.
pub fn customer_prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() >> HOST_BITS << HOST_BITS;
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_share_a_prefix() {
        let prefix = |text: &str| customer_prefix(text.parse().unwrap()).to_string();
        assert_eq!(prefix("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:2:ffff::1"));
        assert_ne!(prefix("2001:db8::1"), prefix("2001:db8:0:1::1"));
    }

    #[test]
    fn an_ipv4_address_stands_for_itself() {
        let prefix = |text: &str| customer_prefix(text.parse().unwrap()).to_string();
        assert_eq!(prefix("192.0.2.1"), "192.0.2.1");
        assert_eq!(prefix("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
