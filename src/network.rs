//! IP networks: the addresses that are counted and limited together.
//!
//! A customer with IPv6 has at least a /64, and most have a /56 or a /48 (RIPE-690). Another address out of it costs the
//! customer nothing. So limits count networks and not single addresses.
//!
//! Also: which addresses are on the internet, for requests to a URL that a user of authd chose.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

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

/// Where the server with an address can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// On the internet.
    Public,
    /// On this machine.
    Loopback,
    /// On a network that is not part of the internet: RFC 1918, RFC 4193, and RFC 6598 between a provider and its customers.
    Private,
    /// On the same link. The metadata services of cloud providers have such addresses.
    LinkLocal,
    /// Nowhere, or only through a translation of addresses: multicast, documentation, 6to4 and other special purposes.
    Special,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Public => "a public address",
            Scope::Loopback => "a loopback address",
            Scope::Private => "a private address",
            Scope::LinkLocal => "a link-local address",
            Scope::Special => "an address for a special purpose",
        })
    }
}

/// The IPv4 networks that are not public, from the IANA registry of special-purpose addresses (RFC 6890) and RFC 5771.
const IPV4_SCOPES: [(Ipv4Net, Scope); 15] = [
    (v4([0, 0, 0, 0], 8), Scope::Special),
    (v4([10, 0, 0, 0], 8), Scope::Private),
    (v4([100, 64, 0, 0], 10), Scope::Private),
    (v4([127, 0, 0, 0], 8), Scope::Loopback),
    (v4([169, 254, 0, 0], 16), Scope::LinkLocal),
    (v4([172, 16, 0, 0], 12), Scope::Private),
    (v4([192, 0, 0, 0], 24), Scope::Special),
    (v4([192, 0, 2, 0], 24), Scope::Special),
    // RFC 7526: relays of 6to4.
    (v4([192, 88, 99, 0], 24), Scope::Special),
    (v4([192, 168, 0, 0], 16), Scope::Private),
    // RFC 2544: benchmarks.
    (v4([198, 18, 0, 0], 15), Scope::Special),
    (v4([198, 51, 100, 0], 24), Scope::Special),
    (v4([203, 0, 113, 0], 24), Scope::Special),
    (v4([224, 0, 0, 0], 4), Scope::Special),
    (v4([240, 0, 0, 0], 4), Scope::Special),
];

/// The IPv6 networks with a meaning of their own; the first that contains an address decides. RFC 4291 §2.4: of the rest,
/// only 2000::/3 is given out, so it comes last, and what no network contains is not public.
const IPV6_SCOPES: [(Ipv6Net, Scope); 8] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Scope::Loopback),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Scope::Private),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Scope::LinkLocal),
    // RFC 2928: protocols of the IETF, among them Teredo, which contains an IPv4 address.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Scope::Special),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Scope::Special),
    // RFC 3056: 6to4, which contains an IPv4 address.
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), Scope::Special),
    // RFC 9637: documentation.
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Scope::Special),
    (v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3), Scope::Public),
];

/// RFC 6052 §2.1: IPv4 addresses as a NAT64 translates them. The last 32 bits are the IPv4 address.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), bits)
}

/// Where the server with this address can be. An IPv4 address that is mapped into IPv6 counts as IPv4.
pub fn scope(ip: IpAddr) -> Scope {
    match ip.to_canonical() {
        IpAddr::V4(ip) => scope_of_v4(ip),
        // RFC 6052 §3.1: such an address never stands for an IPv4 address that is not public.
        IpAddr::V6(ip) if NAT64.contains(&ip) => {
            let [.., a, b, c, d] = ip.octets();
            match scope_of_v4(Ipv4Addr::new(a, b, c, d)) {
                Scope::Public => Scope::Public,
                _ => Scope::Special,
            }
        }
        IpAddr::V6(ip) => {
            let mut scopes = IPV6_SCOPES.iter();
            let found = scopes.find(|(network, _)| network.contains(&ip));
            found.map_or(Scope::Special, |(_, scope)| *scope)
        }
    }
}

fn scope_of_v4(ip: Ipv4Addr) -> Scope {
    let mut scopes = IPV4_SCOPES.iter();
    let found = scopes.find(|(network, _)| network.contains(&ip));
    found.map_or(Scope::Public, |(_, scope)| *scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_public_only_if_a_server_on_the_internet_can_have_it() {
        let table = [
            (
                Scope::Public,
                "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255",
            ),
            (
                Scope::Public,
                "128.0.0.0 169.253.255.255 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255",
            ),
            (
                Scope::Public,
                "198.17.255.255 198.20.0.0 223.255.255.255 ::ffff:1.1.1.1 64:ff9b::1.1.1.1",
            ),
            (Scope::Public, "2001:200::1 2606:4700::1111 2a00::1 3ffe::1"),
            (
                Scope::Loopback,
                "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1",
            ),
            (
                Scope::Private,
                "10.0.0.1 100.64.0.1 100.127.255.255 172.16.0.1 172.31.255.255 192.168.1.1",
            ),
            (
                Scope::Private,
                "::ffff:10.0.0.1 fc00::1 fd12:3456::1 fdff:ffff::1",
            ),
            (
                Scope::LinkLocal,
                "169.254.169.254 ::ffff:169.254.169.254 fe80::1 febf::1",
            ),
            (
                Scope::Special,
                "0.0.0.0 0.1.2.3 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1",
            ),
            (
                Scope::Special,
                "203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 ::ffff:0.0.0.0",
            ),
            // IPv4-compatible addresses, and translations of addresses that are not public.
            (
                Scope::Special,
                ":: ::127.0.0.1 ::10.0.0.1 ::1.1.1.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1",
            ),
            (
                Scope::Special,
                "64:ff9b::169.254.169.254 64:ff9b:1::1 2002:7f00:1::1 2002:101:101::1",
            ),
            (
                Scope::Special,
                "100::1 2001::1 2001:db8::1 3fff::1 4000::1 5f00::1 fec0::1 ff02::1 ff0e::1",
            ),
        ];
        for (expected, addresses) in table {
            for ip in addresses.split(' ') {
                let found = scope(ip.parse().expect("an address"));
                assert_eq!(found, expected, "{ip}");
            }
        }
    }

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
