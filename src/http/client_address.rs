//! The address of the client, behind proxies.
//!
//! `X-Forwarded-For` is believed from a trusted proxy only, and only as far as trusted proxies wrote it: read from the
//! right, the first address that is not a trusted proxy's is the client's (req 62). Everything left of it came from the
//! client, which can send any address there. `Forwarded` and `X-Real-IP` are not read: two headers could disagree.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::request::Request;

/// The client's address.
pub(super) fn of(request: &Request, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_trusted(&request.peer) {
        return request.peer;
    }
    // As bytes: a proxy adds an address to what the client sent, and the result need not be text.
    let fields: Vec<&[u8]> = request.raw_headers_all("x-forwarded-for").collect();
    let hops = fields
        .iter()
        .rev()
        .flat_map(|field| field.rsplit(|byte| *byte == b','));
    let mut client = request.peer;
    for hop in hops {
        // A trusted proxy does not write what cannot be read: the last address before it counts.
        let Some(ip) = read(hop) else { break };
        client = ip;
        if !is_trusted(&ip) {
            break;
        }
    }
    client
}

/// An address, alone or with a port, IPv6 with or without brackets.
pub(crate) fn read(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(hop);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse()
        .ok()
        .or_else(with_port)
        .map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        seen_raw(peer, forwarded.iter().map(|field| field.as_bytes()))
    }

    fn seen_raw<'a>(peer: &str, forwarded: impl Iterator<Item = &'a [u8]>) -> String {
        let trusted = [
            "10.0.0.0/8".parse().expect("a net"),
            "2001:db8::/32".parse().expect("a net"),
        ];
        let request = Request::new(Method::GET, "/").with_peer(peer.parse().expect("an address"));
        let request = forwarded.fold(request, |request, value| {
            request.with_header("X-Forwarded-For", value)
        });
        of(&request, &trusted).to_string()
    }

    #[test] // req 62
    fn a_client_that_is_no_trusted_proxy_cannot_name_another_address() {
        assert_eq!(seen("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(seen("192.0.2.1", &["10.0.0.1"]), "192.0.2.1");
    }

    #[test] // req 62: rightmost hop that is not a proxy's
    fn a_trusted_proxy_names_its_client() {
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            seen("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(
            seen("10.0.0.1", &["203.0.113.9", "198.51.100.1"]),
            "198.51.100.1"
        );
        assert_eq!(seen("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(seen("2001:db8::1", &["[2001:db9::7]:80"]), "2001:db9::7");
        assert_eq!(seen("10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test] // CVE-2024-21500's kind: an unreadable beginning must not hide what the proxy added
    fn bytes_that_are_not_text_do_not_hide_the_client() {
        for sent in [
            &b"\xff, 198.51.100.1"[..],
            b"\xff\xfe,198.51.100.1, 10.0.0.2",
            b"203.0.113.9\xff, 198.51.100.1",
        ] {
            assert_eq!(seen_raw("10.0.0.1", [sent].into_iter()), "198.51.100.1");
        }
        let apart = [&b"\xff"[..], b"198.51.100.1"];
        assert_eq!(seen_raw("10.0.0.1", apart.into_iter()), "198.51.100.1");
    }

    #[test]
    fn an_address_that_cannot_be_read_ends_the_search() {
        assert_eq!(seen("10.0.0.1", &["198.51.100.1, unknown"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1, ,10.0.0.2"]), "10.0.0.2");
    }
}
