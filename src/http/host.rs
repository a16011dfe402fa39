//! For which server a request is meant.
//!
//! A website can let its own name resolve to the address of this server (DNS rebinding): then a browser in the same network
//! sends the requests of that website here, and takes the answers for its own. The `Host` header still has the website's name,
//! so a name that is not this server's is refused (RFC 9110 §7.4, §15.5.20). An address cannot be such a name. A trusted
//! proxy on another machine has looked at the name itself, and may pass on its own name for this server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Whether a request with this `Host` header is answered. `peer` is the other end of the connection.
pub(crate) fn is_accepted(
    host: &str,
    public_url: &str,
    peer: IpAddr,
    trusted_proxies: &[IpNet],
) -> bool {
    // On this machine a browser has the address of a proxy, too.
    let is_proxy = || !peer.is_loopback() && trusted_proxies.iter().any(|net| net.contains(&peer));
    is_own(host, public_url) || is_proxy()
}

/// Whether `host`, the value of a `Host` header, is this server: an address, a name of this machine, or the host of
/// `public_url`. The port does not matter.
fn is_own(host: &str, public_url: &str) -> bool {
    let name = name_of(host);
    let is_this_machine = |name: &str| name == "localhost" || name.ends_with(".localhost");
    address(name).is_some()
        || is_this_machine(&name.to_ascii_lowercase())
        || name.eq_ignore_ascii_case(public_name(public_url))
}

/// Where a page should be opened instead, if the public URL is `localhost` and the page was opened by the address of the
/// loopback interface: cookies and passkeys belong to the name.
pub(super) fn by_name<'a>(host: &str, public_url: &'a str) -> Option<&'a str> {
    let is_loopback = address(name_of(host)).is_some_and(|address| address.is_loopback());
    (is_loopback && public_name(public_url) == "localhost").then_some(public_url)
}

fn public_name(public_url: &str) -> &str {
    let authority = public_url.split_once("://").map_or("", |(_, rest)| rest);
    name_of(authority)
}

/// The host without its port, and without the dot that ends an absolute name.
fn name_of(host: &str) -> &str {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

fn address(name: &str) -> Option<IpAddr> {
    let v6 = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // finding 25: DNS rebinding
    fn another_name_is_not_this_server() {
        let public = "https://auth.example.org";
        for own in [
            "auth.example.org",
            "AUTH.example.org:443",
            "auth.example.org.",
            "localhost:8080",
            "LocalHost",
            "authd.localhost",
            "127.0.0.1:8080",
            "192.168.1.5",
            "[::1]:8080",
            "[2001:db8::1]",
        ] {
            assert!(is_own(own, public), "{own}");
        }
        for other in [
            "evil.example",
            "auth.example.org.evil.example",
            "evil-auth.example.org",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "xlocalhost",
            "[::1].evil.example",
            "[evil.example]",
            "",
        ] {
            assert!(!is_own(other, public), "{other}");
        }
    }

    #[test]
    fn a_page_that_was_opened_by_address_is_opened_by_name() {
        let local = "http://localhost:8080";
        assert_eq!(by_name("127.0.0.1:8080", local), Some(local));
        assert_eq!(by_name("[::1]:8080", local), Some(local));
        assert_eq!(by_name("localhost:8080", local), None);
        assert_eq!(by_name("192.168.1.5:8080", local), None);
        assert_eq!(by_name("127.0.0.1:8080", "https://auth.example.org"), None);
    }
}
