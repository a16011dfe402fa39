//! What arrives through the proxy: requests are sent to the public address, some with headers that lie, and the running
//! server tells what it saw of them.
//!
//! Only the server's own eyes count. A header that is missing, or one that a client's word gets into, is found here
//! before it is found by whoever shares an address with everybody else, or gets past the limit on guesses.

use std::net::IpAddr;

use ipnet::IpNet;

use super::client::{Client, Reply};
use super::finding::Finding;
use crate::clock::Clock;
use crate::config::{Config, PublicUrl};
use crate::http::{COOKIE, DOCTOR_PATH, SECURE_COOKIE, Seen, read_hop};
use crate::service;
use crate::store::Specimen;

/// An address that no client has (RFC 5737, TEST-NET-1): whoever comes from it has lied.
const LIE: &str = "192.0.2.77";

/// Longer than the 16 KiB that authd reads of a head.
const TOO_LONG: usize = 20 * 1024;

/// What nginx, Caddy and Traefik need to be told, so that the client's address and the host arrive.
fn lines(config: &Config) -> String {
    let upstream = config.listen;
    let host = config.public_url.host();
    format!(
        "nginx, in the `location` that has `proxy_pass http://{upstream};`:\n\
         \x20   proxy_set_header Host $host;\n\
         \x20   proxy_set_header X-Forwarded-For $remote_addr;\n\
         \x20   proxy_set_header X-Forwarded-Proto $scheme;\n\
         Caddy, which does so by itself; without `header_up` and `trusted_proxies` of your own:\n\
         \x20   {host} {{\n\
         \x20       reverse_proxy {upstream}\n\
         \x20   }}\n\
         Traefik, which does so by itself; in its static and dynamic configuration:\n\
         \x20   entryPoints: {{ websecure: {{ forwardedHeaders: {{ insecure: false }} }} }}\n\
         \x20   http: {{ services: {{ authd: {{ loadBalancer: {{ passHostHeader: true }} }} }} }}"
    )
}

/// Sends the requests and judges what is said of them.
pub(super) fn look(
    config: &Config,
    url: &PublicUrl,
    specimen: &Specimen,
    clock: &Clock,
) -> Vec<Finding> {
    const CHECK: &str = "way in";
    let pass = match service::issue_doctors_pass(specimen, clock) {
        Ok(Some(pass)) => pass,
        Ok(None) => {
            let found = "the database was never served, so no server can answer";
            return vec![Finding::problem(
                CHECK,
                found,
                "Start `authd serve`, then try again.",
            )];
        }
        Err(why) => return vec![Finding::refusal(CHECK, why.to_string())],
    };
    let target = format!("{url}{DOCTOR_PATH}");
    let bearer = format!("Bearer {pass}");
    let client = Client::new();
    let ask = |more: &[(&str, &str)]| {
        let headers = [&[("Authorization", bearer.as_str())], more].concat();
        client.get(&target, &headers)
    };

    let set_cookie = cookie(config);
    let pair = set_cookie.split(';').next().unwrap_or_default();
    let plain = match ask(&[("Cookie", pair)]) {
        Ok(reply) => reply,
        Err(why) => {
            return vec![Finding::problem(
                CHECK,
                format!("{url} can't be reached from here: {why}"),
                "See that its name leads here, that the proxy runs and its certificate is one that this machine trusts. \
                 Where a network does not let a machine reach its own public address, an entry in /etc/hosts helps.",
            )];
        }
    };
    let seen = match read(&plain, url) {
        Ok(seen) => seen,
        Err(finding) => return vec![finding],
    };
    let mut findings = vec![Finding::ok(CHECK, format!("{url} leads to this server"))];
    if *url != config.public_url {
        findings.push(Finding::warning(
            CHECK,
            format!("links and tokens say {}, and not {url}", config.public_url),
            format!("public_url = \"{url}\""),
        ));
    }
    findings.push(client_address(&seen, url, config));
    let lie = ask(&[
        ("X-Forwarded-For", LIE),
        ("X-Real-IP", LIE),
        ("Forwarded", "for=192.0.2.77;host=liar.invalid;proto=http"),
    ]);
    findings.push(match lie.map(|reply| read(&reply, url)) {
        Ok(Ok(lied)) => spoofing(&lied, config),
        Ok(Err(finding)) => Finding {
            check: "spoofing",
            ..finding
        },
        Err(why) => Finding::warning(
            "spoofing",
            format!("a request with forged headers got no answer: {why}"),
            "The proxy may refuse it, which is as well; see its log.",
        ),
    });
    findings.push(host(&seen, url, config));
    findings.push(cookies(&plain, &seen, set_cookie));
    let padding = "x".repeat(TOO_LONG);
    findings.push(long_head(
        ask(&[("X-Padding", &padding)]).map(|reply| reply.status),
    ));
    say_once(&mut findings);
    findings
}

/// The lines for a proxy are many, and the same whatever it does wrong.
fn say_once(findings: &mut [Finding]) {
    for at in 1..findings.len() {
        let (before, rest) = findings.split_at_mut(at);
        let next = &mut rest[0].next;
        if let Some(same) = before
            .iter()
            .find(|found| next.is_some() && found.next == *next)
        {
            *next = Some(format!("As for \"{}\".", same.check));
        }
    }
}

/// What the server said, if it was this one.
fn read(reply: &Reply, url: &PublicUrl) -> Result<Seen, Finding> {
    const CHECK: &str = "way in";
    let status = reply.status;
    if let Ok(seen) = serde_json::from_slice(&reply.body)
        && status == 200
    {
        return Ok(seen);
    }
    Err(match (status, &reply.location) {
        (300..=399, Some(location)) => Finding::problem(
            CHECK,
            format!("{url} redirects to {}", brief(location)),
            "Name the address that it leads to, and let public_url be that one.",
        ),
        (404, _) => Finding::problem(
            CHECK,
            format!(
                "{url} answers 404: something else answers there, or an authd with another database"
            ),
            "See which server the proxy leads to, and that `--db` names that server's file.",
        ),
        (502..=504, _) => Finding::problem(
            CHECK,
            format!("{url} answers {status}: the proxy does not reach authd"),
            "See that `authd serve` runs, and that the proxy leads to the address where it listens.",
        ),
        _ => Finding::problem(
            CHECK,
            format!("{url} answers {status}, and not as authd does"),
            "See which server the proxy leads to.",
        ),
    })
}

/// Whether the server learns who the client is.
fn client_address(seen: &Seen, url: &PublicUrl, config: &Config) -> Finding {
    const CHECK: &str = "client address";
    let peer = seen.peer;
    let hops = seen.forwarding.get("x-forwarded-for");
    let Some(hops) = hops else {
        let others: Vec<&str> = ["forwarded", "x-real-ip"]
            .into_iter()
            .filter(|name| seen.forwarding.contains_key(*name))
            .collect();
        if !others.is_empty() {
            return Finding::problem(
                CHECK,
                format!(
                    "the proxy at {peer} sends {}, and authd reads X-Forwarded-For",
                    others.join(" and ")
                ),
                lines(config),
            );
        }
        // authd itself speaks no TLS.
        if url.is_https() || trusts(seen, peer) {
            return Finding::problem(
                CHECK,
                format!("no X-Forwarded-For arrives: everybody has the proxy's address, {peer}"),
                lines(config),
            );
        }
        return Finding::ok(CHECK, format!("{peer}, without a proxy"));
    };
    if !trusts(seen, peer) {
        return Finding::problem(
            CHECK,
            format!(
                "X-Forwarded-For arrives from {peer}, which is not trusted: everybody has that address"
            ),
            format!("trusted_proxies = [\"{peer}\"]"),
        );
    }
    let hop = last(hops);
    if hop.is_none() {
        return Finding::problem(
            CHECK,
            format!(
                "X-Forwarded-For says {}, which is no address",
                brief(&hops.join(", "))
            ),
            lines(config),
        );
    }
    Finding::ok(
        CHECK,
        format!("{}, as the proxy at {peer} says", seen.client),
    )
}

/// Whether a client's word on its own address gets through.
fn spoofing(lied: &Seen, config: &Config) -> Finding {
    const CHECK: &str = "spoofing";
    let lie: Option<IpAddr> = LIE.parse().ok();
    let hops = lied.forwarding.get("x-forwarded-for");
    let is_there = hops.is_some_and(|hops| hops.iter().any(|field| field.contains(LIE)));
    if !is_there {
        return Finding::ok(CHECK, "a forged X-Forwarded-For does not get through");
    }
    let last = hops.and_then(|hops| last(hops));
    if last == lie && !trusts(lied, lied.peer) {
        return Finding::warning(
            CHECK,
            "a forged X-Forwarded-For gets through, and is not believed, since the proxy is not trusted",
            lines(config),
        );
    }
    if last == lie {
        return Finding::problem(
            CHECK,
            "a forged X-Forwarded-For is believed: whoever sends one has any address, and no limit by address",
            lines(config),
        );
    }
    // The proxy has put the true one behind it, and authd reads from the right. If that one is trusted itself, it is a
    // proxy's or, as here, this machine's, which may say anything.
    match last {
        Some(true_one) if Some(lied.client) == lie => Finding::ok(
            CHECK,
            format!(
                "{true_one} stands behind a forged X-Forwarded-For, which gets through only since that address is \
                 trusted itself"
            ),
        ),
        _ => Finding::ok(
            CHECK,
            format!(
                "{} stands behind a forged X-Forwarded-For, and is what counts",
                lied.client
            ),
        ),
    }
}

/// Whether the host that was asked for arrives.
fn host(seen: &Seen, url: &PublicUrl, config: &Config) -> Finding {
    const CHECK: &str = "host";
    let authority = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
    match seen.host.as_deref() {
        Some(host) if host.eq_ignore_ascii_case(authority) => Finding::ok(CHECK, host),
        Some(host) if host.eq_ignore_ascii_case(url.host()) => Finding::ok(CHECK, host),
        host => Finding::warning(
            CHECK,
            format!(
                "{} arrives instead of {authority}; links are right all the same, since they are made of public_url",
                brief(host.unwrap_or("nothing"))
            ),
            lines(config),
        ),
    }
}

/// Whether cookies go to the client and back unchanged.
fn cookies(reply: &Reply, seen: &Seen, set: &str) -> Finding {
    const CHECK: &str = "cookies";
    let pair = set.split(';').next().unwrap_or_default();
    let name = pair.split('=').next().unwrap_or_default();
    let advice = "Take out what changes cookies: proxy_cookie_path, proxy_cookie_domain and proxy_cookie_flags of nginx, \
                  header_down of Caddy, customResponseHeaders of Traefik.";
    let given = reply.cookies.iter().find(|given| given.contains(name));
    match given {
        None => Finding::problem(
            CHECK,
            "what the server sets does not arrive at the client",
            advice,
        ),
        Some(given) if !is_same_cookie(given, set) => Finding::problem(
            CHECK,
            format!("the server sets `{set}`, and `{}` arrives", brief(given)),
            advice,
        ),
        Some(_) if !seen.cookies.iter().any(|cookies| cookies.contains(pair)) => Finding::problem(
            CHECK,
            "what the client sends does not arrive at the server",
            advice,
        ),
        Some(_) => Finding::ok(
            CHECK,
            format!("arrive both ways as they are: {}", attributes(set)),
        ),
    }
}

/// Attributes have no order and no case (RFC 6265 §5.2).
fn is_same_cookie(given: &str, set: &str) -> bool {
    let sorted = |cookie: &str| {
        let mut parts: Vec<String> = cookie
            .split(';')
            .enumerate()
            .map(|(at, part)| match at {
                0 => part.trim().to_owned(),
                _ => part.trim().to_ascii_lowercase(),
            })
            .collect();
        parts[1..].sort();
        parts
    };
    sorted(given) == sorted(set)
}

fn attributes(cookie: &str) -> &str {
    cookie
        .split_once("; ")
        .map_or("", |(_, attributes)| attributes)
}

/// The cookie that the server sets, as its public URL lets it.
fn cookie(config: &Config) -> &'static str {
    match config.public_url.is_https() {
        true => SECURE_COOKIE,
        false => COOKIE,
    }
}

/// Whether a head that is too long is refused in words.
fn long_head(status: Result<u16, String>) -> Finding {
    const CHECK: &str = "long head";
    match status {
        Ok(status @ 400..=499) => Finding::ok(CHECK, format!("20 KiB are refused with {status}")),
        Ok(status) => Finding::warning(
            CHECK,
            format!("20 KiB are answered {status}: the proxy takes headers away"),
            "See that it passes Authorization, Content-Type, Idempotency-Key and Cookie.",
        ),
        Err(why) => Finding::ok(
            CHECK,
            format!("20 KiB are refused without an answer ({why})"),
        ),
    }
}

fn trusts(seen: &Seen, ip: IpAddr) -> bool {
    let mut networks = seen.trusted_proxies.iter();
    networks.any(|network| {
        network
            .parse()
            .is_ok_and(|network: IpNet| network.contains(&ip))
    })
}

/// The hop that was written last.
fn last(fields: &[String]) -> Option<IpAddr> {
    read_hop(fields.last()?.rsplit(',').next()?.as_bytes())
}

/// The beginning of what somebody else wrote.
fn brief(text: &str) -> String {
    const MOST: usize = 200;
    text.chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use crate::config::{self, Inputs};

    const URL: &str = "https://auth.example.com";

    fn config() -> Config {
        let flags = vec![("public_url", URL.to_owned())];
        let inputs = Inputs {
            flags,
            ..Inputs::default()
        };
        config::load(inputs).unwrap().config
    }

    /// What a server saw that trusts 10.0.0.0/8.
    fn seen(peer: &str, client: &str, forwarding: &[(&str, &str)]) -> Seen {
        Seen {
            peer: peer.parse().unwrap(),
            client: client.parse().unwrap(),
            trusted_proxies: vec!["10.0.0.0/8".to_owned()],
            host: Some("auth.example.com".to_owned()),
            forwarding: forwarding
                .iter()
                .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
                .collect(),
            cookies: Vec::new(),
        }
    }

    #[track_caller]
    fn is(finding: &Finding, state: State, words: &str) {
        let next = finding.next.as_deref().unwrap_or_default();
        let told = format!("{} {next}", finding.found);
        assert!(
            finding.state == state && told.contains(words),
            "{finding:?}"
        );
        assert_eq!(finding.state == State::Ok, finding.next.is_none());
    }

    #[test] // req 62
    fn where_the_clients_address_gets_lost() {
        const FOR: &str = "x-forwarded-for";
        let judged = |peer, client, forwarding: &[(&str, &str)]| {
            let url = PublicUrl::parse(URL).unwrap();
            client_address(&seen(peer, client, forwarding), &url, &config())
        };
        let (proxy, client) = ("10.0.0.7", "203.0.113.9");
        is(&judged(proxy, client, &[(FOR, client)]), State::Ok, client);
        let with_port = judged(proxy, client, &[(FOR, "203.0.113.9:4711")]);
        is(&with_port, State::Ok, client);
        is(&judged(proxy, proxy, &[]), State::Problem, "nginx");
        let other_header = judged(proxy, proxy, &[("forwarded", "for=203.0.113.9")]);
        is(&other_header, State::Problem, "sends forwarded");
        is(
            &judged(proxy, proxy, &[(FOR, "unknown")]),
            State::Problem,
            "no address",
        );
        let untrusted = judged("172.16.0.2", "172.16.0.2", &[(FOR, client)]);
        is(
            &untrusted,
            State::Problem,
            "trusted_proxies = [\"172.16.0.2\"]",
        );
        is(
            &judged(client, client, &[]),
            State::Problem,
            "everybody has",
        );
    }

    #[test] // req 62, CVE-2024-21500
    fn whose_word_gets_through() {
        const FOR: &str = "x-forwarded-for";
        let judged =
            |peer, client, hops: &str| spoofing(&seen(peer, client, &[(FOR, hops)]), &config());
        let (proxy, client) = ("10.0.0.7", "203.0.113.9");
        is(
            &judged(proxy, client, client),
            State::Ok,
            "does not get through",
        );
        let added = judged(proxy, client, "192.0.2.77, 203.0.113.9");
        is(&added, State::Ok, "is what counts");
        is(
            &judged(proxy, LIE, "192.0.2.77, 10.0.0.9"),
            State::Ok,
            "trusted itself",
        );
        is(&judged(proxy, LIE, LIE), State::Problem, "is believed");
        is(
            &judged("172.16.0.2", "172.16.0.2", LIE),
            State::Warning,
            "not believed",
        );
    }

    #[test] // RFC 6265 §5.2
    fn a_cookie_is_the_same_in_any_order_of_its_attributes() {
        let same = "__Host-authd_probe=arrived; secure; path=/; samesite=lax; httponly";
        assert!(is_same_cookie(same, SECURE_COOKIE));
        for other in [
            "__Host-authd_probe=arrived; Path=/; HttpOnly; SameSite=Lax",
            "__Host-authd_probe=ARRIVED; Path=/; Secure; HttpOnly; SameSite=Lax",
            "__Host-authd_probe=arrived; Path=/; Secure; HttpOnly; SameSite=Lax; Domain=a.example",
        ] {
            assert!(!is_same_cookie(other, SECURE_COOKIE), "{other}");
        }
    }

    #[test]
    fn an_answer_of_somebody_else_is_not_taken_for_ours() {
        let url = PublicUrl::parse(URL).unwrap();
        let reply = |status, body: &str| Reply {
            status,
            location: Some("x".repeat(5000)),
            cookies: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        for (status, body) in [
            (200, ""),
            (200, "{}"),
            (200, "[]"),
            (301, ""),
            (404, ""),
            (999, ""),
        ] {
            let finding = read(&reply(status, body), &url).unwrap_err();
            assert_eq!(finding.state, State::Problem);
            assert!(finding.found.len() < 400, "{finding:?}");
        }
    }
}
