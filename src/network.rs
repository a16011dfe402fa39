//! IP networks: the addresses that are counted and limited together.
//!
//! A customer with IPv6 has at least a /64, and most have a /56 or a /48 (RIPE-690). Another address out of it costs the
//! customer nothing. So limits count networks and not single addresses.

use std::net::IpAddr;

use ipnet::IpNet;

/// The network of `ip`: its first `v4` bits if it is an IPv4 address, its first `v6` bits if it is an IPv6 address. An
/// IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) counts as IPv4.
///
/// # Panics
/// If `v4` is over 32 or `v6` over 128: both are constants of the caller.
pub fn of(ip: IpAddr, v4: u8, v6: u8) -> IpNet {
    let ip = ip.to_canonical();
    let bits = if ip.is_ipv4() { v4 } else { v6 };
    let network = IpNet::new(ip, bits).expect("the length of a prefix is a constant within bounds");
    network.trunc()
}

/// The smallest network that counts as one client: an IPv4 address, or an IPv6 /64.
pub fn client(ip: IpAddr) -> IpNet {
    of(ip, 32, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_its_prefix() {
        let of = |ip: &str, v4, v6| super::of(ip.parse().expect("an address"), v4, v6).to_string();
        assert_eq!(of("192.0.2.77", 24, 56), "192.0.2.0/24");
        assert_eq!(of("::ffff:192.0.2.77", 24, 56), "192.0.2.0/24");
        assert_eq!(of("2001:db8:1:2ff::9", 24, 56), "2001:db8:1:200::/56");
        let client = |ip: &str| client(ip.parse().expect("an address"));
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }
}
