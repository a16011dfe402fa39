//! Checks of the proxy in front of authd: requests are sent to the public URL, some with forged headers, and the running
//! server answers what it received.
//!
//! Only what the server received counts. A proxy that drops a header, or passes on one that a client has forged, is found
//! here, before all clients have one address or an attacker gets past the limit on wrong passwords.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::client::{Client, NoAnswer, Reply, TIMEOUT, certificate_advice};
use super::finding::Finding;
use crate::clock::Clock;
use crate::config::{Config, PublicUrl};
use crate::http::{COOKIE, DOCTOR_PATH, SECURE_COOKIE, Seen, is_host_accepted, read_hop};
use crate::service;
use crate::store::ReadOnlyDatabase;

/// The check whether the URL leads to this server.
const WAY_IN: &str = "way in";

/// An address that no client has (RFC 5737, TEST-NET-1).
const FORGED_ADDRESS: &str = "192.0.2.77";

/// Size of a header that makes a head longer than the 16 KiB that authd reads, in bytes.
const TOO_LONG: usize = 20 * 1024;

/// Longest part of another server's text that is repeated, in characters.
const MAX_ECHO_CHARS: usize = 200;

/// The settings with which nginx, Caddy and Traefik pass on the client's address and the host.
fn proxy_settings(upstream: SocketAddr, public_url: &PublicUrl) -> String {
    let host = public_url.host();
    format!(
        "nginx, in the `location` with `proxy_pass http://{upstream};`:\n\
         \x20   proxy_set_header Host $host;\n\
         \x20   proxy_set_header X-Forwarded-For $remote_addr;\n\
         \x20   proxy_set_header X-Forwarded-Proto $scheme;\n\
         Caddy does this without settings. Remove `header_up` and `trusted_proxies`:\n\
         \x20   {host} {{\n\
         \x20       reverse_proxy {upstream}\n\
         \x20   }}\n\
         Traefik does this without settings. In its static and its dynamic configuration:\n\
         \x20   entryPoints: {{ websecure: {{ forwardedHeaders: {{ insecure: false }} }} }}\n\
         \x20   http:\n\
         \x20     services: {{ authd: {{ loadBalancer: {{ passHostHeader: true }} }} }}"
    )
}

/// What was found, and the settings of the server, if this server answered.
pub(super) struct Examined {
    pub findings: Vec<Finding>,
    pub server: Option<ServerSettings>,
}

impl Examined {
    /// There is no database, which holds the key for the requests.
    pub fn without_a_database() -> Examined {
        Examined::no_answer(Finding::problem(
            WAY_IN,
            "the server answers these requests only to a user who can read its database, and no database was read",
            "Run this command where the server's database is, with the server's settings.",
        ))
    }

    fn no_answer(why: Finding) -> Examined {
        Examined {
            findings: vec![why],
            server: None,
        }
    }
}

/// The settings of the running server. They may differ from those of this command, because the server has another
/// environment and command line.
#[derive(Debug)]
pub(super) struct ServerSettings {
    pub public_url: PublicUrl,
    pub trusted_proxies: Vec<IpNet>,
}

impl ServerSettings {
    fn of(seen: &Seen) -> Result<ServerSettings, String> {
        let networks = seen.trusted_proxies.iter();
        Ok(ServerSettings {
            public_url: PublicUrl::parse(&seen.public_url)?,
            trusted_proxies: networks.filter_map(|text| text.parse().ok()).collect(),
        })
    }
}

/// Sends the requests to `url` and judges the answers.
pub(super) fn examine(
    config: &Config,
    url: &PublicUrl,
    database: &ReadOnlyDatabase,
    clock: &Clock,
) -> Examined {
    ask_and_judge(config, url, database, clock).unwrap_or_else(Examined::no_answer)
}

/// [`examine`]; the error is the finding that there is no answer of this server.
fn ask_and_judge(
    config: &Config,
    url: &PublicUrl,
    database: &ReadOnlyDatabase,
    clock: &Clock,
) -> Result<Examined, Finding> {
    let requests = Requests::new(url, database, clock)?;
    // Both cookies: which one the server sets is known only from its answer.
    let both = format!("{}; {}", pair(SECURE_COOKIE), pair(COOKIE));
    let plain = requests.send(&[("Cookie", &both)]);
    let plain = plain.map_err(|none| not_reached(url, &none))?;
    let (seen, server) = read(&plain, url)?;
    let mut findings = vec![Finding::ok(WAY_IN, format!("{url} leads to this server"))];
    if *url != server.public_url {
        findings.push(Finding::warning(
            WAY_IN,
            format!("links and tokens contain {}, not {url}", server.public_url),
            format!("If clients use {url}, set:\n    public_url = \"{url}\""),
        ));
    }
    let settings = proxy_settings(config.listen, &server.public_url);
    findings.push(client_address(&seen, url, &settings));
    let forged = requests.send(&[
        ("X-Forwarded-For", FORGED_ADDRESS),
        ("X-Real-IP", FORGED_ADDRESS),
        ("Forwarded", "for=192.0.2.77;host=forged.invalid;proto=http"),
    ]);
    findings.push(match forged.map(|reply| read(&reply, url)) {
        Ok(Ok((seen, _))) => spoofing(&seen, &settings),
        Ok(Err(finding)) => Finding {
            check: "spoofing",
            ..finding
        },
        Err(none) => Finding::warning(
            "spoofing",
            format!("a request with forged headers got no answer: {}", none.why),
            "Check in the proxy's log that it refuses such requests.",
        ),
    });
    findings.push(host(&seen, url, &server, &settings));
    findings.push(cookies(&plain, &seen, cookie(&server.public_url)));
    let padding = "x".repeat(TOO_LONG);
    findings.push(long_head(
        requests
            .send(&[("X-Padding", &padding)])
            .map(|reply| reply.status)
            .map_err(|none| none.why),
    ));
    print_settings_once(&mut findings);
    Ok(Examined {
        findings,
        server: Some(server),
    })
}

/// Requests to the route of the server that answers what it received.
struct Requests {
    client: Client,
    target: String,
    authorization: String,
}

impl Requests {
    fn new(
        url: &PublicUrl,
        database: &ReadOnlyDatabase,
        clock: &Clock,
    ) -> Result<Requests, Finding> {
        match service::issue_doctors_pass(database, clock) {
            Ok(Some(pass)) => Ok(Requests {
                client: Client::new("authd-doctor", TIMEOUT),
                target: format!("{url}{DOCTOR_PATH}"),
                authorization: format!("Bearer {pass}"),
            }),
            Ok(None) => Err(Finding::problem(
                WAY_IN,
                "no server has used this database yet, so none can answer",
                "Start `authd serve`, then run this command again.",
            )),
            Err(why) => Err(Finding::refusal(WAY_IN, why.to_string())),
        }
    }

    fn send(&self, headers: &[(&str, &str)]) -> Result<Reply, NoAnswer> {
        let authorization = ("Authorization", self.authorization.as_str());
        let headers = [&[authorization], headers].concat();
        self.client.get(&self.target, &headers)
    }
}

/// There is no answer to the first request.
fn not_reached(url: &PublicUrl, none: &NoAnswer) -> Finding {
    let next = match none.certificate {
        Some(fault) => certificate_advice(fault, url.host()),
        None => "Check that its name leads to the proxy, and that the proxy runs. If the network does not let a machine \
                 reach its own public address, add the name to /etc/hosts."
            .to_owned(),
    };
    let found = format!("{url} can't be reached from here: {}", none.why);
    Finding::problem(WAY_IN, found, next)
}

/// Prints long advice once: the settings for the proxies are the same for each problem.
fn print_settings_once(findings: &mut [Finding]) {
    for at in 1..findings.len() {
        let (before, rest) = findings.split_at_mut(at);
        let next = &mut rest[0].next;
        if let Some(same) = before
            .iter()
            .find(|found| next.is_some() && found.next == *next)
        {
            *next = Some(format!("Do what \"{}\" says.", same.check));
        }
    }
}

/// What this server answered. The error is the finding that another server answered.
fn read(reply: &Reply, url: &PublicUrl) -> Result<(Seen, ServerSettings), Finding> {
    let status = reply.status;
    if status == 200
        && let Ok(seen) = serde_json::from_slice(&reply.body)
        && let Ok(settings) = ServerSettings::of(&seen)
    {
        return Ok((seen, settings));
    }
    Err(match (status, &reply.location) {
        (300..=399, Some(location)) => Finding::problem(
            WAY_IN,
            format!("{url} redirects to {}", brief(location)),
            "Pass the URL that it redirects to with --url, and set public_url to it.",
        ),
        (404, _) => Finding::problem(
            WAY_IN,
            format!(
                "{url} answers 404: another program answers there, or an authd with another database"
            ),
            "Check to which server the proxy sends requests, that --db names that server's file, that the proxy passes all \
             paths, and that it does not remove the Authorization header.",
        ),
        // authd itself answers this path 200 or 404.
        (401, _) if reply.challenge.is_some() => Finding::problem(
            WAY_IN,
            format!("{url} answers 401: the proxy asks for a password of its own"),
            "Turn that off for this host: authd checks passwords itself, and needs the Authorization header for its tokens.",
        ),
        (502..=504, _) => Finding::problem(
            WAY_IN,
            format!("{url} answers {status}: the proxy does not reach authd"),
            "Check that `authd serve` runs, and that the proxy sends requests to the address on which it listens.",
        ),
        _ => Finding::problem(
            WAY_IN,
            format!("{url} answers {status}, and the answer is not from authd"),
            "Check to which server the proxy sends requests.",
        ),
    })
}

/// Whether the server learns the address of the client.
fn client_address(seen: &Seen, url: &PublicUrl, settings: &str) -> Finding {
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
                    "the proxy at {peer} sends {}, but authd reads X-Forwarded-For only",
                    others.join(" and ")
                ),
                settings,
            );
        }
        // authd itself speaks no TLS.
        if url.is_https() || trusts(seen, peer) {
            return Finding::problem(
                CHECK,
                format!(
                    "no X-Forwarded-For arrives: all clients seem to have the proxy's address, {peer}"
                ),
                settings,
            );
        }
        return Finding::ok(CHECK, format!("{peer}, without a proxy"));
    };
    if !trusts(seen, peer) {
        return Finding::problem(
            CHECK,
            format!(
                "X-Forwarded-For arrives from {peer}, which is not trusted: all clients seem to have that address"
            ),
            format!("Set:\n    trusted_proxies = [\"{peer}\"]"),
        );
    }
    let hop = last(hops);
    if hop.is_none() {
        return Finding::problem(
            CHECK,
            format!(
                "X-Forwarded-For has {}, which is not an IP address",
                brief(&hops.join(", "))
            ),
            settings,
        );
    }
    Finding::ok(
        CHECK,
        format!("{}, as the proxy at {peer} reports", seen.client),
    )
}

/// Whether a client can forge its address. `seen` is what the server received of a request with [`FORGED_ADDRESS`].
fn spoofing(seen: &Seen, settings: &str) -> Finding {
    const CHECK: &str = "spoofing";
    let forged: Option<IpAddr> = FORGED_ADDRESS.parse().ok();
    let hops = seen.forwarding.get("x-forwarded-for");
    let arrives = hops.is_some_and(|hops| hops.iter().any(|field| field.contains(FORGED_ADDRESS)));
    if !arrives {
        return Finding::ok(CHECK, "a forged X-Forwarded-For does not arrive");
    }
    let last = hops.and_then(|hops| last(hops));
    if last == forged && !trusts(seen, seen.peer) {
        return Finding::warning(
            CHECK,
            "a forged X-Forwarded-For arrives; authd ignores it, because the proxy is not trusted",
            settings,
        );
    }
    if last == forged {
        return Finding::problem(
            CHECK,
            "a forged X-Forwarded-For is used: a client can choose its address and avoid all limits by address",
            settings,
        );
    }
    // The proxy has added the true address at the right, where authd reads first. If that address is trusted itself, as
    // that of this machine may be, authd reads on, to the forged one.
    match last {
        Some(true_address) if Some(seen.client) == forged => Finding::ok(
            CHECK,
            format!(
                "the proxy adds {true_address} to a forged X-Forwarded-For; the forged one is used only because {true_address} is \
                 a trusted proxy itself"
            ),
        ),
        _ => Finding::ok(
            CHECK,
            format!(
                "the proxy adds the true address to a forged X-Forwarded-For, and authd uses {}",
                seen.client
            ),
        ),
    }
}

/// Whether the host of the request arrives unchanged.
fn host(seen: &Seen, url: &PublicUrl, server: &ServerSettings, settings: &str) -> Finding {
    const CHECK: &str = "host";
    let authority = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
    let public_url = server.public_url.as_str();
    let is_refused =
        |host: &str| !is_host_accepted(host, public_url, seen.peer, &server.trusted_proxies);
    match seen.host.as_deref() {
        Some(host) if host.eq_ignore_ascii_case(authority) => Finding::ok(CHECK, host),
        Some(host) if host.eq_ignore_ascii_case(url.host()) => Finding::ok(CHECK, host),
        Some(host) if is_refused(host) => Finding::problem(
            CHECK,
            format!(
                "{} arrives instead of {authority}, so the server refuses every request with 421",
                brief(host)
            ),
            settings,
        ),
        host => Finding::warning(
            CHECK,
            format!(
                "{} arrives instead of {authority}; links are right, because they are made from public_url",
                brief(host.unwrap_or("no host"))
            ),
            settings,
        ),
    }
}

/// Whether cookies arrive unchanged in both directions. `set` is the cookie that the server sets.
fn cookies(reply: &Reply, seen: &Seen, set: &str) -> Finding {
    const CHECK: &str = "cookies";
    let pair = pair(set);
    let name = pair.split('=').next().unwrap_or_default();
    let advice = "Remove the settings that change cookies: proxy_cookie_path, proxy_cookie_domain and proxy_cookie_flags \
                  in nginx, header_down in Caddy, customResponseHeaders in Traefik.";
    let given = reply.cookies.iter().find(|given| given.contains(name));
    match given {
        None => Finding::problem(
            CHECK,
            "a cookie that the server sets does not arrive at the client",
            advice,
        ),
        Some(given) if !is_same_cookie(given, set) => Finding::problem(
            CHECK,
            format!("the server sets `{set}`, and `{}` arrives", brief(given)),
            advice,
        ),
        Some(_) if !arrives(pair, seen) => Finding::problem(
            CHECK,
            "a cookie that the client sends does not arrive at the server",
            advice,
        ),
        Some(_) => Finding::ok(
            CHECK,
            format!("arrive unchanged in both directions: {}", attributes(set)),
        ),
    }
}

/// Whether the server received this name and value (RFC 6265 §4.2.1).
fn arrives(pair: &str, seen: &Seen) -> bool {
    let mut pairs = seen.cookies.iter().flat_map(|field| field.split(';'));
    pairs.any(|given| given.trim() == pair)
}

/// Whether two cookies are the same. The order and case of attributes do not matter (RFC 6265 §5.2).
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

/// The name and value of a `Set-Cookie` field.
fn pair(cookie: &str) -> &str {
    cookie.split(';').next().unwrap_or_default()
}

fn attributes(cookie: &str) -> &str {
    cookie
        .split_once("; ")
        .map_or("", |(_, attributes)| attributes)
}

/// The cookie that a server with this public URL sets.
fn cookie(public_url: &PublicUrl) -> &'static str {
    match public_url.is_https() {
        true => SECURE_COOKIE,
        false => COOKIE,
    }
}

/// Whether a head that is too long is refused.
fn long_head(status: Result<u16, String>) -> Finding {
    const CHECK: &str = "long head";
    match status {
        Ok(status @ 400..=499) => {
            Finding::ok(CHECK, format!("a head of 20 KiB is refused with {status}"))
        }
        Ok(status) => Finding::warning(
            CHECK,
            format!("a head of 20 KiB is answered with {status}: the proxy removes headers"),
            "Check that it passes Authorization, Content-Type, Idempotency-Key and Cookie.",
        ),
        Err(why) => Finding::ok(CHECK, format!("a head of 20 KiB gets no answer ({why})")),
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

/// The address that was added last.
fn last(fields: &[String]) -> Option<IpAddr> {
    read_hop(fields.last()?.rsplit(',').next()?.as_bytes())
}

/// The beginning of a text from another server.
fn brief(text: &str) -> String {
    text.chars().take(MAX_ECHO_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    const URL: &str = "https://auth.example.com";

    const SETTINGS: &str = "the settings for nginx";

    /// What a server that trusts 10.0.0.0/8 received.
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
    fn a_proxy_that_loses_the_clients_address_is_found() {
        const FOR: &str = "x-forwarded-for";
        let judged = |peer, client, forwarding: &[(&str, &str)]| {
            let url = PublicUrl::parse(URL).unwrap();
            client_address(&seen(peer, client, forwarding), &url, SETTINGS)
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
            "not an IP address",
        );
        let untrusted = judged("172.16.0.2", "172.16.0.2", &[(FOR, client)]);
        is(
            &untrusted,
            State::Problem,
            "trusted_proxies = [\"172.16.0.2\"]",
        );
        is(&judged(client, client, &[]), State::Problem, "all clients");
    }

    #[test] // req 62, CVE-2024-21500
    fn a_proxy_that_passes_on_a_forged_address_is_found() {
        const FOR: &str = "x-forwarded-for";
        let judged =
            |peer, client, hops: &str| spoofing(&seen(peer, client, &[(FOR, hops)]), SETTINGS);
        let (proxy, client) = ("10.0.0.7", "203.0.113.9");
        is(&judged(proxy, client, client), State::Ok, "does not arrive");
        let added = judged(proxy, client, "192.0.2.77, 203.0.113.9");
        is(&added, State::Ok, "authd uses 203.0.113.9");
        is(
            &judged(proxy, FORGED_ADDRESS, "192.0.2.77, 10.0.0.9"),
            State::Ok,
            "trusted proxy itself",
        );
        is(
            &judged(proxy, FORGED_ADDRESS, FORGED_ADDRESS),
            State::Problem,
            "is used",
        );
        is(
            &judged("172.16.0.2", "172.16.0.2", FORGED_ADDRESS),
            State::Warning,
            "ignores it",
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
    fn the_answer_of_another_server_is_recognized() {
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
