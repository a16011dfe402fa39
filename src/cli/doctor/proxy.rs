//! What arrives through the proxy: requests are sent to the public address, some with headers that lie, and the running
//! server tells what it saw of them.
//!
//! Only the server's own eyes count. A header that is missing, or one that a client's word gets into, is found here
//! before it is found by whoever shares an address with everybody else, or gets past the limit on guesses.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::client::{Client, PATIENCE, Reply, how_to_trust};
use super::finding::Finding;
use crate::clock::Clock;
use crate::config::{Config, PublicUrl};
use crate::http::{COOKIE, DOCTOR_PATH, SECURE_COOKIE, Seen, read_hop};
use crate::service;
use crate::store::ReadOnlyDatabase;

/// Whether the address leads to this server at all.
const WAY_IN: &str = "way in";

/// An address that no client has (RFC 5737, TEST-NET-1): whoever comes from it has lied.
const LIE: &str = "192.0.2.77";

/// Longer than the 16 KiB that authd reads of a head.
const TOO_LONG: usize = 20 * 1024;

/// What nginx, Caddy and Traefik need to be told, so that the client's address and the host arrive.
fn lines(upstream: SocketAddr, public_url: &PublicUrl) -> String {
    let host = public_url.host();
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

/// What was found, and what the server says that its settings are, if it is the one that answered.
pub(super) struct Asked {
    pub findings: Vec<Finding>,
    pub served: Option<Served>,
}

impl Asked {
    /// Where there is none to make a pass of.
    pub fn without_a_database() -> Asked {
        Asked::nobody(Finding::problem(
            WAY_IN,
            "without the server's database nothing can be asked of it",
            "Run it where the server's file is, with the server's settings.",
        ))
    }

    /// No server of this file has answered.
    fn nobody(why: Finding) -> Asked {
        Asked {
            findings: vec![why],
            served: None,
        }
    }
}

/// The settings of a server that runs: its environment and its command line may say other things than those of whoever
/// looks at it.
#[derive(Debug)]
pub(super) struct Served {
    pub public_url: PublicUrl,
    pub trusted_proxies: Vec<IpNet>,
}

impl Served {
    fn of(seen: &Seen) -> Result<Served, String> {
        let networks = seen.trusted_proxies.iter();
        Ok(Served {
            public_url: PublicUrl::parse(&seen.public_url)?,
            trusted_proxies: networks.filter_map(|text| text.parse().ok()).collect(),
        })
    }
}

/// Sends the requests and judges what is said of them.
pub(super) fn look(
    config: &Config,
    url: &PublicUrl,
    database: &ReadOnlyDatabase,
    clock: &Clock,
) -> Asked {
    ask_and_judge(config, url, database, clock).unwrap_or_else(Asked::nobody)
}

/// The same, or why there is no answer to judge.
fn ask_and_judge(
    config: &Config,
    url: &PublicUrl,
    database: &ReadOnlyDatabase,
    clock: &Clock,
) -> Result<Asked, Finding> {
    let pass = match service::issue_doctors_pass(database, clock) {
        Ok(Some(pass)) => pass,
        Ok(None) => {
            let found = "the database was never served, so no server can answer";
            return Err(Finding::problem(
                WAY_IN,
                found,
                "Start `authd serve`, then try again.",
            ));
        }
        Err(why) => return Err(Finding::refusal(WAY_IN, why.to_string())),
    };
    let target = format!("{url}{DOCTOR_PATH}");
    let bearer = format!("Bearer {pass}");
    let client = Client::new("authd-doctor", PATIENCE);
    let ask = |more: &[(&str, &str)]| {
        let headers = [&[("Authorization", bearer.as_str())], more].concat();
        client.get(&target, &headers)
    };

    // Which of them the server would set is not known before it has answered.
    let both = format!("{}; {}", pair(SECURE_COOKIE), pair(COOKIE));
    let plain = ask(&[("Cookie", &both)]).map_err(|none| {
        let next = match none.is_of_certificate {
            true => format!("See that the certificate is for this name and not out of date. {}", how_to_trust()),
            false => "See that its name leads here, and that the proxy runs. Where a network does not let a machine reach \
                      its own public address, an entry in /etc/hosts helps."
                .to_owned(),
        };
        let found = format!("{url} can't be reached from here: {}", none.why);
        Finding::problem(WAY_IN, found, next)
    })?;
    let (seen, served) = read(&plain, url)?;
    let mut findings = vec![Finding::ok(WAY_IN, format!("{url} leads to this server"))];
    if *url != served.public_url {
        findings.push(Finding::warning(
            WAY_IN,
            format!("links and tokens say {}, and not {url}", served.public_url),
            format!("public_url = \"{url}\""),
        ));
    }
    let lines = lines(config.listen, &served.public_url);
    findings.push(client_address(&seen, url, &lines));
    let lie = ask(&[
        ("X-Forwarded-For", LIE),
        ("X-Real-IP", LIE),
        ("Forwarded", "for=192.0.2.77;host=liar.invalid;proto=http"),
    ]);
    findings.push(match lie.map(|reply| read(&reply, url)) {
        Ok(Ok((lied, _))) => spoofing(&lied, &lines),
        Ok(Err(finding)) => Finding {
            check: "spoofing",
            ..finding
        },
        Err(none) => Finding::warning(
            "spoofing",
            format!("a request with forged headers got no answer: {}", none.why),
            "The proxy may refuse it, which is as well; see its log.",
        ),
    });
    findings.push(host(&seen, url, &lines));
    findings.push(cookies(&plain, &seen, cookie(&served.public_url)));
    let padding = "x".repeat(TOO_LONG);
    findings.push(long_head(
        ask(&[("X-Padding", &padding)])
            .map(|reply| reply.status)
            .map_err(|none| none.why),
    ));
    say_once(&mut findings);
    Ok(Asked {
        findings,
        served: Some(served),
    })
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
fn read(reply: &Reply, url: &PublicUrl) -> Result<(Seen, Served), Finding> {
    let status = reply.status;
    if status == 200
        && let Ok(seen) = serde_json::from_slice(&reply.body)
        && let Ok(served) = Served::of(&seen)
    {
        return Ok((seen, served));
    }
    Err(match (status, &reply.location) {
        (300..=399, Some(location)) => Finding::problem(
            WAY_IN,
            format!("{url} redirects to {}", brief(location)),
            "Name the address that it leads to, and let public_url be that one.",
        ),
        (404, _) => Finding::problem(
            WAY_IN,
            format!(
                "{url} answers 404: something else answers there, or an authd with another database"
            ),
            "See which server the proxy leads to, and that `--db` names that server's file; or the proxy passes only some \
             paths, or takes Authorization away.",
        ),
        // authd itself answers this path 200 or 404.
        (401, _) if reply.challenge.is_some() => Finding::problem(
            WAY_IN,
            format!("{url} answers 401: the proxy asks for a password of its own"),
            "Except this host from that: authd looks at passwords itself, and at Authorization, which has room for one.",
        ),
        (502..=504, _) => Finding::problem(
            WAY_IN,
            format!("{url} answers {status}: the proxy does not reach authd"),
            "See that `authd serve` runs, and that the proxy leads to the address where it listens.",
        ),
        _ => Finding::problem(
            WAY_IN,
            format!("{url} answers {status}, and not as authd does"),
            "See which server the proxy leads to.",
        ),
    })
}

/// Whether the server learns who the client is.
fn client_address(seen: &Seen, url: &PublicUrl, lines: &str) -> Finding {
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
                lines,
            );
        }
        // authd itself speaks no TLS.
        if url.is_https() || trusts(seen, peer) {
            return Finding::problem(
                CHECK,
                format!("no X-Forwarded-For arrives: everybody has the proxy's address, {peer}"),
                lines,
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
            lines,
        );
    }
    Finding::ok(
        CHECK,
        format!("{}, as the proxy at {peer} says", seen.client),
    )
}

/// Whether a client's word on its own address gets through.
fn spoofing(lied: &Seen, lines: &str) -> Finding {
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
            lines,
        );
    }
    if last == lie {
        return Finding::problem(
            CHECK,
            "a forged X-Forwarded-For is believed: whoever sends one has any address, and no limit by address",
            lines,
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
fn host(seen: &Seen, url: &PublicUrl, lines: &str) -> Finding {
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
            lines,
        ),
    }
}

/// Whether cookies go to the client and back unchanged.
fn cookies(reply: &Reply, seen: &Seen, set: &str) -> Finding {
    const CHECK: &str = "cookies";
    let pair = pair(set);
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
        Some(_) if !arrives(pair, seen) => Finding::problem(
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

/// Whether this name and value came, among others (RFC 6265 §4.2.1).
fn arrives(pair: &str, seen: &Seen) -> bool {
    let mut pairs = seen.cookies.iter().flat_map(|field| field.split(';'));
    pairs.any(|given| given.trim() == pair)
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

/// Name and value.
fn pair(cookie: &str) -> &str {
    cookie.split(';').next().unwrap_or_default()
}

fn attributes(cookie: &str) -> &str {
    cookie
        .split_once("; ")
        .map_or("", |(_, attributes)| attributes)
}

/// The cookie that a server sets, as its public URL lets it.
fn cookie(public_url: &PublicUrl) -> &'static str {
    match public_url.is_https() {
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

    const URL: &str = "https://auth.example.com";

    const LINES: &str = "the lines for nginx";

    /// What a server saw that trusts 10.0.0.0/8.
    fn seen(peer: &str, client: &str, forwarding: &[(&str, &str)]) -> Seen {
        Seen {
            public_url: URL.to_owned(),
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
            client_address(&seen(peer, client, forwarding), &url, LINES)
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
            |peer, client, hops: &str| spoofing(&seen(peer, client, &[(FOR, hops)]), LINES);
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
            challenge: None,
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
