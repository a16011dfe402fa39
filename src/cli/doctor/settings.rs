//! The settings: what they need of the machine, and whether they fit each other.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;

use super::client::how_to_trust;
use super::finding::Finding;
use super::proxy::Served;
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, Loaded, Source};
use crate::entropy::Entropy;
use crate::mail::{Cause, Mailer, Route, Undelivered};
use crate::service::{self, Examination, Waiting};

/// A letter that waits for longer has nobody who tries it, or a mail server that hangs.
const SLOW: Duration = Duration::from_secs(10 * 60);

/// Where they come from, and what about them should be known at each start.
pub(super) fn sources(loaded: &Loaded) -> Vec<Finding> {
    const CHECK: &str = "settings";
    let given = loaded
        .settings
        .iter()
        .filter(|setting| setting.source != Source::Default)
        .count();
    let from = match &loaded.file {
        Some(file) => format!("{} was read", file.display()),
        None => "there is no file".to_owned(),
    };
    let of = match given {
        0 => format!("{from}; all are the defaults"),
        1 => format!("{from}; 1 is set, the others are the defaults"),
        _ => format!("{from}; {given} are set, the others are the defaults"),
    };
    let warnings = loaded.notices.iter().chain(&loaded.config.warnings);
    let warnings = warnings.map(|warning| {
        Finding::warning(
            CHECK,
            warning.clone(),
            "`authd config` says where each setting comes from.",
        )
    });
    [Finding::ok(CHECK, of)]
        .into_iter()
        .chain(warnings)
        .collect()
}

/// Whether what they allow fits into the memory that there is.
pub(super) fn memory(config: &Config, available: Option<u64>) -> Finding {
    const CHECK: &str = "memory";
    let most = ByteSize(config.most_memory());
    let Some(available) = available.map(ByteSize) else {
        return Finding::warning(
            CHECK,
            "the system does not tell how much there is",
            format!("See that there are {most} for authd."),
        );
    };
    let next = "Lower password_ram or max_connections, or give it more.";
    if config.least_memory() > available.as_u64() {
        let least = ByteSize(config.least_memory());
        return Finding::problem(
            CHECK,
            format!(
                "authd needs {least} to hash passwords, and there are {available}: it will be killed"
            ),
            next,
        );
    }
    if most > available {
        return Finding::warning(
            CHECK,
            format!("with every connection taken authd needs {most}, and there are {available}"),
            next,
        );
    }
    Finding::ok(
        CHECK,
        format!(
            "authd needs at most {most} of {available}, {} of them for passwords",
            config.password_ram
        ),
    )
}

/// Whether address, URL and proxies agree with each other.
pub(super) fn public_url(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "public URL";
    let Config {
        public_url: url,
        listen,
        trusted_proxies: trusted,
        ..
    } = config;
    let ip = listen.ip();
    let mut findings = Vec::new();
    if url.is_loopback() && !ip.is_loopback() {
        findings.push(Finding::warning(
            CHECK,
            format!("links and tokens say {url}, which is this machine, and authd listens on {listen} for others"),
            "Set public_url to the address that people use, or listen on 127.0.0.1.",
        ));
    }
    if !url.is_loopback() && ip.is_loopback() && !trusts(trusted, ip) {
        findings.push(Finding::warning(
            CHECK,
            format!(
                "{url} is not this machine and authd listens on {listen}, so there is a proxy, and it is not trusted: \
                 everybody has its address"
            ),
            format!("trusted_proxies = [\"{ip}\"]"),
        ));
    }
    if url.is_https() && !ip.is_loopback() && trusted.is_empty() {
        findings.push(Finding::warning(
            CHECK,
            format!("authd speaks no TLS, so there is a proxy that does for {url}, and none is trusted: everybody has its \
                     address"),
            "Put the proxy's address into trusted_proxies: trusted_proxies = [\"192.0.2.7\"]",
        ));
    }
    // Without TLS beyond this machine: the settings' own warning says so.
    if findings.is_empty() {
        let proxies = proxies(trusted);
        findings.push(Finding::ok(CHECK, format!("{url}, on {listen}; {proxies}")));
    }
    findings
}

/// The same of a server that was asked: where it listens need not be guessed at, since something was sent there.
pub(super) fn served_url(served: &Served, config: &Config) -> Vec<Finding> {
    const CHECK: &str = "public URL";
    let Served {
        public_url: url,
        trusted_proxies: trusted,
    } = served;
    let mut findings = Vec::new();
    if *url != config.public_url {
        findings.push(Finding::warning(
            "settings",
            format!(
                "the server has public_url = \"{url}\", and this command \"{}\"",
                config.public_url
            ),
            "Put what the server has in its environment or on its command line into authd.toml, so that both read it.",
        ));
    }
    findings.push(match url.is_https() && trusted.is_empty() {
        true => Finding::warning(
            CHECK,
            format!("authd speaks no TLS, so there is a proxy that does for {url}, and the server trusts none: everybody \
                     has its address"),
            "Put the proxy's address into trusted_proxies: trusted_proxies = [\"192.0.2.7\"]",
        ),
        false => Finding::ok(
            CHECK,
            format!("{url}; {}, as the server says", proxies(trusted)),
        ),
    });
    findings
}

fn proxies(trusted: &[IpNet]) -> String {
    match trusted {
        [] => "no proxy is trusted".to_owned(),
        [one] => format!("{one} is trusted"),
        _ => format!("{} proxies are trusted", trusted.len()),
    }
}

fn trusts(trusted: &[IpNet], ip: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(&ip))
}

/// Where mail goes, and whether it does.
pub(super) fn mail(
    config: &Config,
    examination: Option<&Examination>,
    now: Timestamp,
) -> Vec<Finding> {
    const CHECK: &str = "mail";
    let route = &config.mail;
    let mut findings = Vec::new();
    if let Err(why) = Mailer::open(&without_making(route), &config.mail_from) {
        findings.push(Finding::problem(CHECK, why, "See `mail` in the settings."));
    }
    if let Route::Directory(path) = route
        && let Err(error) = fs::read_dir(path)
    {
        findings.push(Finding::warning(
            CHECK,
            format!("{} can't be read: {error}", path.display()),
            "`authd serve` makes it, if it may. Otherwise make it, for the user that the server runs as.",
        ));
    }
    let look = "`authd doctor --mail-to ADDRESS` shows what the mail server says; the server's log has it too (\"mail\").";
    if let Some(letters) = examination.and_then(|found| found.letters)
        && (letters.tries > 0 || now.since(letters.since) > SLOW)
    {
        let found = match *route {
            Route::Off => format!("{}, and mail is off", wait(letters)),
            _ => wait(letters),
        };
        findings.push(Finding::warning(CHECK, found, look));
    }
    if let Some(at) = examination.and_then(|found| found.letter_failed_at) {
        let found = format!("a letter could not be sent and was given up, at {at}");
        findings.push(Finding::warning(CHECK, found, look));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            match route {
                Route::Off => "off: `authd user reset-link` prints what would be mailed".to_owned(),
                route => format!("to {route}, from {}", config.mail_from),
            },
        ));
    }
    findings
}

fn wait(letters: Waiting) -> String {
    let Waiting {
        count,
        since,
        tries,
    } = letters;
    let waits = match count {
        1 => format!("1 letter waits since {since}"),
        _ => format!("{count} letters wait, the oldest since {since}"),
    };
    let whose = match count {
        1 => "",
        _ => "one ",
    };
    match tries {
        0 => waits,
        1 => format!("{waits}, and {whose}was tried once"),
        _ => format!("{waits}, and {whose}was tried {tries} times"),
    }
}

/// The route, without what opening it would make: whoever looks makes no directory.
fn without_making(route: &Route) -> Route {
    match route {
        Route::Directory(_) => Route::Off,
        route => route.clone(),
    }
}

/// Sends a letter now, past the outbox, and says what came of it.
pub(super) fn trial(config: &Config, to: &str, clock: &Clock) -> Finding {
    const CHECK: &str = "test message";
    let mailer = match Mailer::open(&config.mail, &config.mail_from) {
        Ok(Some(mailer)) => mailer,
        Ok(None) => return Finding::problem(CHECK, "mail is off", "Set `mail`, then try again."),
        Err(why) => return Finding::problem(CHECK, why, "See `mail` in the settings."),
    };
    let id = Entropy::system().bytes();
    let letter = service::test_letter(config.public_url.as_str(), to, clock.wall(), id);
    match mailer.send(&letter) {
        Ok(()) => Finding::ok(
            CHECK,
            format!("{} took it, for {to}. Look whether it arrives", config.mail),
        ),
        Err(refusal) => Finding::problem(
            CHECK,
            format!("{} did not take it, for {to}: {}", config.mail, refusal.why),
            advice(&refusal),
        ),
    }
}

/// What to do about a letter that was not sent.
fn advice(refusal: &Undelivered) -> String {
    let text = match refusal.cause {
        Cause::UnknownAuthority => return format!("{} The server needs the same.", how_to_trust()),
        Cause::UnknownName => {
            "Check the name of the host in `mail`, and the DNS server in /etc/resolv.conf."
        }
        Cause::Unreachable => {
            "Check host and port in `mail`, and whether a firewall is between. Use smtps:// for port 465, smtp:// for 587 \
             and 25."
        }
        Cause::WrongCertificate => {
            "Check that the certificate has the host of `mail` as a subjectAltName, and that it is valid today."
        }
        Cause::AuthorityCertificate => {
            "The certificate is marked as one of an authority. Name a file with exactly this certificate in SSL_CERT_FILE, \
             for this command and for the server. Or make another with openssl req -x509 and -addext \
             basicConstraints=critical,CA:FALSE."
        }
        Cause::UnusableCertificate => {
            "The certificate itself can't be used, whatever is trusted. Make another with openssl req -x509, \
             -addext subjectAltName=DNS:HOST and -addext basicConstraints=critical,CA:FALSE."
        }
        Cause::TlsPort => "Use smtps:// for this port.",
        Cause::OtherProtocol => {
            "Check the port in `mail`. Use smtp:// for port 587 or 25, smtps:// for 465."
        }
        Cause::NoStartTls => {
            "Use smtps:// if the server speaks TLS on another port (465). If it is on this machine, ?tls=none sends plain \
             text."
        }
        Cause::TlsWanted => "Put ?tls=required at the end of `mail`.",
        Cause::NoSignIn => {
            "The server offers no sign-in with a password on this connection. Many servers do so under TLS only: use \
             ?tls=required or smtps://. If it wants none, take user and password out of `mail`."
        }
        Cause::OtherSignIn => {
            "The server takes no password. Turn on sign-in with a password (PLAIN or LOGIN, perhaps an app password) \
             there, or use another mail server."
        }
        Cause::SignInWanted => {
            "The server wants a sign-in: put user:password@ before the host in `mail`."
        }
        Cause::WrongPassword => {
            "User or password in `mail` is wrong (an @ in them is written %40)."
        }
        Cause::Other if refusal.is_final => {
            "Another try would get the same reply: check `mail`, `mail_from` and the address."
        }
        Cause::Other => {
            "It may pass. Otherwise check `mail`: name, port, certificate and password."
        }
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::finding::{State, count};
    use super::*;
    use crate::config::{self, Inputs, PublicUrl};

    fn config(settings: &[(&'static str, &str)]) -> Config {
        let flags = settings
            .iter()
            .map(|(key, text)| (*key, (*text).to_owned()));
        let inputs = Inputs {
            flags: flags.collect(),
            memory: Some(1 << 30),
            ..Inputs::default()
        };
        config::load(inputs).unwrap().config
    }

    #[test]
    fn settings_that_do_not_fit_each_other() {
        const HTTPS: (&str, &str) = ("public_url", "https://auth.example.com");
        const LOCAL: (&str, &str) = ("trusted_proxies", "127.0.0.1");
        const ANYWHERE: (&str, &str) = ("listen", "0.0.0.0:8080");
        type Settings = &'static [(&'static str, &'static str)];
        #[rustfmt::skip]
        let rows: [(Settings, &[&str]); 7] = [
            (&[], &[]),
            (&[HTTPS], &["trusted_proxies = [\"127.0.0.1\"]"]),
            (&[HTTPS, LOCAL], &[]),
            (&[HTTPS, ("trusted_proxies", "10.0.0.0/8")], &["trusted_proxies = [\"127.0.0.1\"]"]),
            (&[HTTPS, ANYWHERE], &["the proxy's address"]),
            (&[HTTPS, ANYWHERE, ("trusted_proxies", "10.0.0.0/8")], &[]),
            (&[ANYWHERE, ("public_url", "http://localhost:8080")], &["Set public_url"]),
        ];
        for (settings, advice) in rows {
            let findings = public_url(&config(settings));
            assert_eq!(
                count(&findings, State::Warning),
                advice.len(),
                "{findings:?}"
            );
            for (finding, words) in findings.iter().zip(advice) {
                let next = finding.next.as_deref().unwrap_or_default();
                assert!(next.contains(words), "{finding:?}");
            }
        }
    }

    #[test]
    fn what_a_server_says_of_its_settings_is_believed() {
        let served = |public_url: &str, trusted: &[&str]| Served {
            public_url: PublicUrl::parse(public_url).unwrap(),
            trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
        };
        let https = "https://auth.example.com";
        let ours = config(&[("public_url", https)]);
        // This command's own settings trust none.
        let found = served_url(&served(https, &["127.0.0.1/32"]), &ours);
        assert_eq!(count(&found, State::Ok), 1, "{found:?}");
        assert_eq!(found.len(), 1, "{found:?}");
        let found = served_url(&served(https, &[]), &ours);
        assert_eq!(count(&found, State::Warning), 1, "{found:?}");
        let found = served_url(&served(https, &["127.0.0.1/32"]), &config(&[]));
        let [differs, url] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((differs.check, differs.state), ("settings", State::Warning));
        assert_eq!(url.state, State::Ok);
    }

    #[test]
    fn what_the_settings_allow_must_fit() {
        let modest = config(&[("password_ram", "19MiB"), ("max_connections", "64")]);
        for (mebibytes, state) in [
            (Some(34), State::Problem),
            (Some(40), State::Warning),
            (Some(48), State::Ok),
            (None, State::Warning),
        ] {
            let finding = memory(&modest, mebibytes.map(|count: u64| count << 20));
            assert_eq!(finding.state, state, "{mebibytes:?}: {finding:?}");
        }
    }

    #[test] // what a look finds must not be made by it
    fn a_directory_for_mail_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let outbox = place.path().join("mail");
        let setting = format!("dir:{}", outbox.display());
        let found = mail(
            &config(&[("mail", &setting)]),
            None,
            Timestamp::from_unix(0),
        );
        assert_eq!(count(&found, State::Warning), 1, "{found:?}");
        assert!(!outbox.exists());
    }
}
