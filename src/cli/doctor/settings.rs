//! Checks of the settings: whether the machine has what they need, and whether they fit each other.

use std::net::IpAddr;

use bytesize::ByteSize;
use ipnet::IpNet;

use super::finding::Finding;
use super::proxy::ServerSettings;
use crate::config::{Config, Loaded, PublicUrl, Source};

/// Where the settings come from, and the warnings that every start prints.
pub(super) fn sources(loaded: &Loaded) -> Vec<Finding> {
    const CHECK: &str = "settings";
    let set = loaded
        .settings
        .iter()
        .filter(|setting| setting.source != Source::Default)
        .count();
    let file = match &loaded.file {
        Some(file) => format!("the file {} was read", file.display()),
        None => "there is no settings file".to_owned(),
    };
    let summary = match set {
        0 => format!("{file}; all settings have their defaults"),
        1 => format!("{file}; 1 setting is set, the others have their defaults"),
        _ => format!("{file}; {set} settings are set, the others have their defaults"),
    };
    let warnings = loaded.notices.iter().chain(&loaded.config.warnings);
    let warnings = warnings.map(|warning| {
        Finding::warning(
            CHECK,
            warning.clone(),
            "`authd config` shows where each setting comes from.",
        )
    });
    [Finding::ok(CHECK, summary)]
        .into_iter()
        .chain(warnings)
        .collect()
}

/// Whether the memory that the settings allow is `available`, in bytes.
pub(super) fn memory(config: &Config, available: Option<u64>) -> Finding {
    const CHECK: &str = "memory";
    let most = ByteSize(config.most_memory());
    let Some(available) = available.map(ByteSize) else {
        return Finding::warning(
            CHECK,
            "the system does not tell how much memory authd may use",
            format!("Check that it can use {most}."),
        );
    };
    let next = "Lower password_ram or max_connections, or give authd more memory.";
    if config.least_memory() > available.as_u64() {
        let least = ByteSize(config.least_memory());
        return Finding::problem(
            CHECK,
            format!(
                "authd needs {least} to hash passwords, and may use {available}: the system will kill it"
            ),
            next,
        );
    }
    if most > available {
        return Finding::warning(
            CHECK,
            format!("with max_connections clients authd needs {most}, and may use {available}"),
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

/// Whether public URL, address and trusted proxies fit each other, as far as the settings of this command tell.
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
            format!(
                "links and tokens contain {url}, which only this machine reaches, but authd accepts other machines on \
                 {listen}"
            ),
            "Set public_url to the URL that clients use, or listen on 127.0.0.1.",
        ));
    }
    if !url.is_loopback() && ip.is_loopback() && !trusts(trusted, ip) {
        findings.push(Finding::warning(
            CHECK,
            format!(
                "authd listens on {listen}, so clients of {url} come through a proxy, which is not trusted: all clients \
                 seem to have its address"
            ),
            format!("Set:\n    trusted_proxies = [\"{ip}\"]"),
        ));
    }
    if url.is_https() && !ip.is_loopback() && trusted.is_empty() {
        findings.push(no_trusted_proxy(url));
    }
    // The settings have a warning of their own about a URL without TLS.
    if findings.is_empty() {
        let proxies = proxies(trusted);
        findings.push(Finding::ok(CHECK, format!("{url}, on {listen}; {proxies}")));
    }
    findings
}

fn no_trusted_proxy(url: &PublicUrl) -> Finding {
    Finding::warning(
        "public URL",
        format!(
            "authd has no TLS, so clients of {url} come through a proxy, and no proxy is trusted: all clients seem to have \
             its address"
        ),
        "Set trusted_proxies to the proxy's address, for example:\n    trusted_proxies = [\"192.0.2.7\"]",
    )
}

/// [`public_url`] for the settings that the running server reported. The address on which it listens does not matter: a
/// request has reached it.
pub(super) fn public_url_of_server(server: &ServerSettings, config: &Config) -> Vec<Finding> {
    let ServerSettings {
        public_url: url,
        trusted_proxies: trusted,
    } = server;
    let mut findings = Vec::new();
    if *url != config.public_url {
        findings.push(Finding::warning(
            "settings",
            format!(
                "the server has public_url = \"{url}\", and this command has \"{}\"",
                config.public_url
            ),
            "Move the settings from the server's environment or command line to authd.toml, which both read.",
        ));
    }
    findings.push(match url.is_https() && trusted.is_empty() {
        true => no_trusted_proxy(url),
        false => Finding::ok(
            "public URL",
            format!("{url}; {}, as the server reports", proxies(trusted)),
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

#[cfg(test)]
mod tests {
    use super::super::finding::{State, count};
    use super::*;
    use crate::config::{self, Inputs};

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
            (&[HTTPS, ANYWHERE], &["proxy's address"]),
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
    fn the_settings_that_a_server_reports_count() {
        let server = |public_url: &str, trusted: &[&str]| ServerSettings {
            public_url: PublicUrl::parse(public_url).unwrap(),
            trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
        };
        let https = "https://auth.example.com";
        let ours = config(&[("public_url", https)]);
        // The settings of this command trust no proxy.
        let found = public_url_of_server(&server(https, &["127.0.0.1/32"]), &ours);
        assert_eq!(count(&found, State::Ok), 1, "{found:?}");
        assert_eq!(found.len(), 1, "{found:?}");
        let found = public_url_of_server(&server(https, &[]), &ours);
        assert_eq!(count(&found, State::Warning), 1, "{found:?}");
        let found = public_url_of_server(&server(https, &["127.0.0.1/32"]), &config(&[]));
        let [differs, url] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((differs.check, differs.state), ("settings", State::Warning));
        assert_eq!(url.state, State::Ok);
    }

    #[test]
    fn the_memory_that_the_settings_allow_must_be_there() {
        let small = config(&[("password_ram", "19MiB"), ("max_connections", "32")]);
        for (mebibytes, state) in [
            (Some(34), State::Problem),
            (Some(40), State::Warning),
            (Some(48), State::Ok),
            (None, State::Warning),
        ] {
            let finding = memory(&small, mebibytes.map(|count: u64| count << 20));
            assert_eq!(finding.state, state, "{mebibytes:?}: {finding:?}");
        }
    }
}
