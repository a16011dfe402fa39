//! The settings of mail: where it is sent, and who the sender is.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;

/// Where mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Mail is off, and no letter is sent.
    Off,
    /// To the log, to try authd on one machine.
    Log,
    /// To a directory, one `.eml` file for each letter.
    Directory(PathBuf),
    /// To a mail server.
    Server(MailServer),
}

/// A mail server, and how to connect to it.
#[derive(Clone, PartialEq, Eq)]
pub struct MailServer {
    /// As it was given, with the password.
    url: String,
    /// A name or an address; an IPv6 address without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) credentials: Option<Credentials>,
    pub(super) encryption: Encryption,
    is_on_this_machine: bool,
}

/// User and password for a mail server, percent-decoded. It has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub user: Vec<u8>,
    pub password: Vec<u8>,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encryption {
    /// TLS from the first byte (RFC 8314 §3.3).
    Implicit,
    /// STARTTLS (RFC 3207). If the server does not offer it, nothing is sent.
    StartTls,
    None,
}

impl Route {
    /// Reads `off`, `log`, `dir:PATH`, `smtp://[USER:PASSWORD@]HOST[:PORT][?tls=required|none]` or
    /// `smtps://[USER:PASSWORD@]HOST[:PORT]`.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(text: &str) -> Result<Route, String> {
        match text {
            "off" => return Ok(Route::Off),
            "log" => return Ok(Route::Log),
            _ => {}
        }
        if let Some(path) = text.strip_prefix("dir:") {
            // A NUL ends a path early in every system call.
            if path.is_empty() || path.contains('\0') {
                return Err("expected a directory after dir:".to_owned());
            }
            return Ok(Route::Directory(path.into()));
        }
        MailServer::parse(text).map(Route::Server)
    }

    /// Whether letters leave this machine in plain text.
    pub fn is_exposed(&self) -> bool {
        matches!(self, Route::Server(server)
            if server.encryption == Encryption::None && !server.is_on_this_machine)
    }
}

impl MailServer {
    /// Its name or address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Stricter than a URL parser, which would accept a path and repair typing errors.
    fn parse(text: &str) -> Result<MailServer, String> {
        let (scheme, rest) = text.split_once("://").ok_or(
            "expected off, log, dir: and a path, or the smtp:// or smtps:// URL of a mail server",
        )?;
        let (authority, option) = match rest.split_once('?') {
            Some((authority, option)) => (authority, Some(option)),
            None => (rest, None),
        };
        let (credentials, host) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((user, host)) => {
                let credentials = Credentials::parse(user).ok_or(
                    "expected USER:PASSWORD before the @, with characters other than letters, digits and -._~!$&'()*+,;= \
                     written as %40 and the like",
                )?;
                (Some(credentials), host)
            }
        };
        let host = Host::parse(host)
            .ok_or("expected the name or address of a mail server, perhaps with a port")?;
        let encryption = match (scheme, option) {
            ("smtps", None) => Encryption::Implicit,
            ("smtp", Some("tls=required")) => Encryption::StartTls,
            ("smtp", Some("tls=none")) => Encryption::None,
            ("smtp", None) if host.is_loopback => Encryption::None,
            ("smtp", None) => Encryption::StartTls,
            ("smtp", Some(_)) => {
                return Err("expected ?tls=required, ?tls=none or nothing at the end".to_owned());
            }
            ("smtps", Some(_)) => {
                return Err("expected nothing after the host: smtps:// is always TLS".to_owned());
            }
            _ => return Err("expected smtp:// or smtps://".to_owned()),
        };
        Ok(MailServer {
            url: text.to_owned(),
            host: host.name,
            port: host.port.unwrap_or(encryption.usual_port()),
            credentials,
            encryption,
            is_on_this_machine: host.is_loopback,
        })
    }
}

impl Encryption {
    const fn usual_port(self) -> u16 {
        match self {
            Encryption::Implicit => 465,
            Encryption::StartTls => 587,
            Encryption::None => 25,
        }
    }
}

impl Credentials {
    fn parse(text: &str) -> Option<Credentials> {
        // RFC 3986 §3.2.1: what user information is made of.
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:%".contains(c);
        let (user, password) = text.split_once(':')?;
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let credentials = Credentials {
            user: decoded(user),
            password: decoded(password),
        };
        // RFC 4616 §2: a NUL ends the user name.
        let is_usable = |bytes: &[u8]| !bytes.is_empty() && !bytes.contains(&0);
        let is_usable = is_usable(&credentials.user) && is_usable(&credentials.password);
        (is_usable && text.chars().all(is_allowed)).then_some(credentials)
    }
}

struct Host {
    name: String,
    port: Option<u16>,
    is_loopback: bool,
}

impl Host {
    /// Reads a name, an IPv4 address or an IPv6 address in brackets, each perhaps with a port.
    fn parse(text: &str) -> Option<Host> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse().ok().filter(|port| *port > 0)?)
            }
            Some(_) => return None,
            None => None,
        };
        if let Some(address) = host.strip_prefix('[') {
            let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
            return Some(Host {
                name: address.to_string(),
                port,
                is_loopback: address.is_loopback(),
            });
        }
        let is_label = |label: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.bytes().all(allowed)
        };
        let is_loopback = |address: IpAddr| address.is_loopback();
        host.split('.').all(is_label).then(|| Host {
            name: host.to_owned(),
            port,
            is_loopback: host == "localhost" || host.parse().is_ok_and(is_loopback),
        })
    }
}

/// `text` without the password, if it is a URL that has one or looks like one with a typing error: settings that are
/// printed are copied into bug reports.
pub fn without_password(text: &str) -> String {
    let hidden = || {
        let (before, host) = text.rsplit_once('@')?;
        let user_at = before.find("://").map_or(0, |scheme| scheme + "://".len());
        let (name, _) = before[user_at..].split_once(':')?;
        Some(format!("{}{name}:***@{host}", &before[..user_at]))
    };
    hidden().unwrap_or_else(|| text.to_owned())
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Route::Off => f.write_str("off"),
            Route::Log => f.write_str("log"),
            Route::Directory(path) => write!(f, "dir:{}", path.display()),
            Route::Server(server) => f.write_str(&without_password(&server.url)),
        }
    }
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.url))
    }
}

/// Whom mail is from: an address, perhaps with a name, as `authd <authd@example.org>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author(pub(super) Mailbox);

impl Author {
    /// Reads an address or a name and an address.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(text: &str) -> Result<Author, String> {
        let expected = "expected an e-mail address, or a name and <an e-mail address>";
        if text.contains(char::is_control) {
            return Err(expected.to_owned());
        }
        text.parse().map(Author).map_err(|_| expected.to_owned())
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> MailServer {
        match Route::parse(text) {
            Ok(Route::Server(server)) => server,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn letters_leave_the_machine_encrypted_unless_an_operator_says_otherwise() {
        for (url, encryption, port) in [
            ("smtp://mail.example.org", Encryption::StartTls, 587),
            ("smtp://u:p@mail.example.org:25", Encryption::StartTls, 25),
            ("smtp://mail.example.org?tls=none", Encryption::None, 25),
            ("smtp://localhost:2525", Encryption::None, 2525),
            ("smtp://127.0.0.1", Encryption::None, 25),
            ("smtp://[::1]:2525", Encryption::None, 2525),
            ("smtp://localhost?tls=required", Encryption::StartTls, 587),
            ("smtps://mail.example.org", Encryption::Implicit, 465),
            (
                "smtps://u:p%40x@[2001:db8::1]:466",
                Encryption::Implicit,
                466,
            ),
        ] {
            let server = server(url);
            assert_eq!(
                (server.encryption, server.port),
                (encryption, port),
                "{url}"
            );
        }
        let is_exposed = |url| Route::parse(url).expect("a route").is_exposed();
        assert!(is_exposed("smtp://mail.example.org?tls=none"));
        assert!(!is_exposed("smtp://mail.example.org") && !is_exposed("smtp://localhost"));
    }

    #[test] // fault 15
    fn an_ipv6_address_stands_in_brackets_in_the_url_alone() {
        assert_eq!(server("smtp://[::1]:2525").host, "::1");
        assert_eq!(server("smtps://u:p@[2001:DB8::1]").host, "2001:db8::1");
    }

    #[test]
    fn credentials_are_percent_decoded() {
        let credentials = server("smtp://ann%40b.c:p%40ss%2Fw+rd@mail.example.org").credentials;
        let Some(Credentials { user, password }) = credentials else {
            panic!("no credentials");
        };
        assert_eq!(
            (user, password),
            (b"ann@b.c".to_vec(), b"p@ss/w+rd".to_vec())
        );
    }

    #[test]
    fn other_texts_are_refused_with_what_was_expected() {
        for text in [
            "",
            "on",
            "dir:",
            "dir:\0",
            "smtp:mail.example.org",
            "smtp://",
            "smtp://a b",
            "smtp://host/path",
            "smtp://host#x",
            "smtp://host:",
            "smtp://host:0",
            "smtp://host:65536",
            "smtp://host:+25",
            "smtp://host.",
            "smtp://[::1",
            "smtp://[127.0.0.1]",
            "smtp://::1",
            "smtp://user@host",
            "smtp://:p@host",
            "smtp://u:@host",
            "smtp://u:p%00@host",
            "smtp://u:p@x@host",
            "smtp://u:p w@host",
            "smtp://host?tls=opportunistic",
            "smtps://host?tls=none",
            "http://host",
        ] {
            let refusal = Route::parse(text).expect_err(text);
            assert!(refusal.contains("expected"), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let route = Route::parse("smtp://ann:s3cret%21@mail.example.org").expect("a route");
        let shown = format!("{route} {route:?}");
        assert!(shown.contains("smtp://ann:***@mail.example.org"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(
            without_password("a \"x://u:p@q:r@h\" b"),
            "a \"x://u:***@h\" b"
        );
        for mistyped in [
            "smtp//ann:s3cret@host",
            "smtp:/ann:s3cret@host",
            "ann:s3cret@host",
        ] {
            let shown = without_password(mistyped);
            assert!(
                !shown.contains("s3cret") && shown.ends_with("@host"),
                "{shown}"
            );
        }
        for plain in ["https://host:80", "ann@example.org", "x://ann@host", ""] {
            assert_eq!(without_password(plain), plain);
        }
    }

    #[test] // CVE-2020-28247
    fn a_sender_is_one_line() {
        for bad in ["", "authd", "a\nb <a@b>", "a@b\r\nBcc: c@d"] {
            assert!(Author::parse(bad).is_err(), "{bad:?}");
        }
    }
}
