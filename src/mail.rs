//! Mail: a letter, and the ways in which it leaves.
//!
//! A [`Route`] is what an operator sets: nowhere, the log, a directory or a mail server. A [`Mailer`] is that route,
//! opened; it sends one [`Letter`] at a time, and says of each failure whether trying again makes sense. When a letter
//! is written, to whom and how often it is tried, is not decided here.
//!
//! *What goes through a mail server is encrypted.* A letter carries a link with which somebody takes over an account,
//! so `smtp://` insists on STARTTLS (RFC 3207), with a certificate that the system's roots vouch for, and `smtps://`
//! speaks TLS from the first byte (RFC 8314). Only a server on this machine gets plain text, and one for which an
//! operator says `?tls=none`.
//!
//! *A server that hangs costs its caller [`PATIENCE`] a step* and nothing else: whoever sends, sends on a thread of its
//! own.
//!
//! Never in here: an address that was not checked where it came in, a password in what is printed, a retry.

use std::error::Error;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lettre::address::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::{self, extension::ClientId};
use lettre::{Message, SmtpTransport, Transport};
use rustls::CertificateError;

use crate::clock::Timestamp;

/// How long one step of a conversation with a mail server may take: connecting, and each of its answers. RFC 5321
/// §4.5.3.2 allows servers minutes; what takes longer than this is tried again later.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Nowhere: nothing is written.
    Off,
    /// To the log, for somebody who tries authd on one machine.
    Log,
    /// To a directory, one `.eml` file for each letter.
    Directory(PathBuf),
    /// To a mail server.
    Server(Relay),
}

/// A mail server, and how it is spoken to.
#[derive(Clone, PartialEq, Eq)]
pub struct Relay {
    /// As it was given, with the password.
    url: String,
    encryption: Encryption,
    is_on_this_machine: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encryption {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS, or nothing is sent.
    Required,
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
        Relay::parse(text).map(Route::Server)
    }

    /// Whether letters leave this machine in plain text.
    pub fn is_exposed(&self) -> bool {
        matches!(self, Route::Server(relay)
            if relay.encryption == Encryption::None && !relay.is_on_this_machine)
    }
}

impl Relay {
    /// Stricter than a URL parser on purpose: what one parser mends and another does not is a mistake in waiting.
    fn parse(text: &str) -> Result<Relay, String> {
        let (scheme, rest) = text.split_once("://").ok_or(
            "expected off, log, dir: and a path, or the smtp:// or smtps:// URL of a mail server",
        )?;
        let (authority, option) = match rest.split_once('?') {
            Some((authority, option)) => (authority, Some(option)),
            None => (rest, None),
        };
        let host = match authority.rsplit_once('@') {
            None => authority,
            Some((user, host)) => {
                let is_pair = user
                    .split_once(':')
                    .is_some_and(|(name, password)| !name.is_empty() && !password.is_empty());
                if !is_pair || user.contains(|c| !is_of_user(c)) {
                    return Err(
                        "expected USER:PASSWORD before the @, with characters other than letters, digits and -._~!$&'()*+,;= \
                         written as %40 and the like"
                            .to_owned(),
                    );
                }
                host
            }
        };
        let is_on_this_machine = read_host(host)
            .ok_or("expected the name or address of a mail server, perhaps with a port")?;
        let encryption = match (scheme, option) {
            ("smtps", None) => Encryption::Implicit,
            ("smtp", Some("tls=required")) => Encryption::Required,
            ("smtp", Some("tls=none")) => Encryption::None,
            ("smtp", None) if is_on_this_machine => Encryption::None,
            ("smtp", None) => Encryption::Required,
            ("smtp", Some(_)) => {
                return Err("expected ?tls=required, ?tls=none or nothing at the end".to_owned());
            }
            ("smtps", Some(_)) => {
                return Err("expected nothing after the host: smtps:// is always TLS".to_owned());
            }
            _ => return Err("expected smtp:// or smtps://".to_owned()),
        };
        Ok(Relay {
            url: text.to_owned(),
            encryption,
            is_on_this_machine,
        })
    }

    fn connect(&self, hello: &str) -> Result<SmtpTransport, String> {
        let bare = self.url.split('?').next().unwrap_or_default();
        let url = match self.encryption {
            Encryption::Required => format!("{bare}?tls=required"),
            Encryption::Implicit | Encryption::None => bare.to_owned(),
        };
        let transport = SmtpTransport::from_url(&url).map_err(|error| told(&error))?;
        Ok(transport
            .hello_name(ClientId::Domain(hello.to_owned()))
            .timeout(Some(PATIENCE))
            .build())
    }
}

/// RFC 3986 §3.2.1: what user information is made of.
fn is_of_user(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:%".contains(c)
}

/// Whether a host with perhaps a port is this machine; `None` if it is no host.
fn read_host(text: &str) -> Option<bool> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && matches!(port.parse::<u16>(), Ok(1..))
    };
    if !port.is_none_or(is_port) {
        return None;
    }
    if let Some(address) = host.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(address.is_loopback());
    }
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.bytes().all(allowed)
    };
    let is_loopback = |address: IpAddr| address.is_loopback();
    host.split('.')
        .all(is_label)
        .then(|| host == "localhost" || host.parse().is_ok_and(is_loopback))
}

/// `text` without the password, if it is a URL that has one, or was meant to be: what is printed ends in bug reports,
/// and what is printed most often has a slip of the pen in it.
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
            Route::Server(relay) => f.write_str(&without_password(&relay.url)),
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.url))
    }
}

/// Whom mail is from: an address, perhaps with a name, as `authd <authd@example.org>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author(Mailbox);

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

/// A letter, ready to be sent. It has no `Debug`: what stands in it is for one reader.
#[derive(Clone)]
pub struct Letter {
    /// Its name, the same each time that the same text is tried.
    pub id: [u8; 16],
    /// When it was written.
    pub date: Timestamp,
    /// To which address.
    pub to: String,
    /// One line without control characters.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// Why a letter did not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The server said no for good (RFC 5321 §4.2.1: 5yz), so trying again would get the same answer.
    pub is_final: bool,
    /// For the log: what was said, without the letter.
    pub why: String,
    /// What kind of failure it was, for whoever says what to do.
    pub cause: Cause,
}

/// What kept a letter from leaving, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No such name, nobody listens there, or no answer came in time.
    Unreachable,
    /// Nobody whom this system trusts vouches for the certificate.
    UnknownAuthority,
    /// The certificate is for another name, or not for today.
    WrongCertificate,
    /// What answers speaks something else: TLS where plain text was expected, or the other way round.
    OtherProtocol,
    /// STARTTLS was wanted and is not offered.
    NoStartTls,
    /// The server wants STARTTLS first (RFC 3207 §4).
    TlsWanted,
    /// No way to sign in is offered that authd knows.
    NoSignIn,
    /// The server wants a sign-in (RFC 4954 §6: 530).
    SignInWanted,
    /// User or password are wrong (RFC 4954 §6: 535).
    WrongPassword,
    /// Something else, for which the server's words must do.
    Other,
}

/// A route that is open.
pub struct Mailer {
    from: Author,
    way: Way,
}

type Hand = dyn Fn(&Letter) -> Result<(), Undelivered> + Send + Sync;

enum Way {
    Log,
    Directory(PathBuf),
    Server(Box<SmtpTransport>),
    Hand(Box<Hand>),
}

impl Mailer {
    /// Opens a route; `None` for [`Route::Off`]. Nothing is sent and nobody is connected to yet; a directory is made
    /// if it is missing.
    ///
    /// # Errors
    /// What is in the way, in one sentence.
    pub fn open(route: &Route, from: &Author) -> Result<Option<Mailer>, String> {
        let way = match route {
            Route::Off => return Ok(None),
            Route::Log => Way::Log,
            Route::Directory(path) => {
                make_directory(path)
                    .map_err(|error| format!("cannot use {}: {error}", path.display()))?;
                Way::Directory(path.clone())
            }
            Route::Server(relay) => Way::Server(Box::new(relay.connect(from.0.email.domain())?)),
        };
        Ok(Some(Mailer {
            from: from.clone(),
            way,
        }))
    }

    /// A route of the caller's own: for programs that embed authd and send mail by other means. `from` is not looked
    /// at by anybody else.
    pub fn by_hand(
        from: &Author,
        hand: impl Fn(&Letter) -> Result<(), Undelivered> + Send + Sync + 'static,
    ) -> Mailer {
        Mailer {
            from: from.clone(),
            way: Way::Hand(Box::new(hand)),
        }
    }

    /// Sends a letter, and returns when somebody else has it. May take minutes.
    ///
    /// # Errors
    /// [`Undelivered`] says whether another try makes sense. After a broken connection the letter may have arrived all
    /// the same.
    pub fn send(&self, letter: &Letter) -> Result<(), Undelivered> {
        match &self.way {
            Way::Hand(hand) => hand(letter),
            Way::Log => {
                let Letter {
                    to, subject, text, ..
                } = letter;
                tracing::info!(to, subject, text, "mail");
                Ok(())
            }
            Way::Directory(path) => {
                let message = self.compose(letter)?;
                store(path, letter, &message.formatted()).map_err(|error| Undelivered {
                    is_final: false,
                    why: format!("{}: {error}", path.display()),
                    cause: Cause::Other,
                })
            }
            Way::Server(transport) => {
                let message = self.compose(letter)?;
                let sent = transport.send(&message).map_err(|error| Undelivered {
                    is_final: error.is_permanent(),
                    why: told(&error),
                    cause: cause(&error),
                });
                sent.map(|_| ())
            }
        }
    }

    /// The letter as RFC 5322 has it, in plain text and HTML (RFC 2046 §5.1.4).
    fn compose(&self, letter: &Letter) -> Result<Message, Undelivered> {
        let is_final = |error: &dyn std::error::Error| Undelivered {
            is_final: true,
            why: told(error),
            cause: Cause::Other,
        };
        let to: Address = letter.to.parse().map_err(|error| is_final(&error))?;
        let seconds = Duration::from_secs(letter.date.as_unix().try_into().unwrap_or(0));
        let domain = self.from.0.email.domain();
        Message::builder()
            .from(self.from.0.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject.clone())
            .date(SystemTime::UNIX_EPOCH + seconds)
            .message_id(Some(format!("<{}@{domain}>", hex(&letter.id))))
            // RFC 3834 §5: so that nobody's holiday notice answers.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .multipart(MultiPart::alternative_plain_html(
                letter.text.clone(),
                letter.html.clone(),
            ))
            .map_err(|error| is_final(&error))
    }
}

fn make_directory(path: &Path) -> std::io::Result<()> {
    // The letters are for their readers: nobody else looks into a directory that is made here.
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Puts a letter into a directory whole: whoever watches it for `.eml` never sees half of one.
fn store(directory: &Path, letter: &Letter, bytes: &[u8]) -> std::io::Result<()> {
    let name = format!("{}-{}", letter.date.as_unix(), hex(&letter.id[..8]));
    let unfinished = directory.join(format!(".{name}.part"));
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, directory.join(format!("{name}.eml")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of what kind an error is, by its type and the server's code; by its words only where it has neither.
fn cause(error: &smtp::Error) -> Cause {
    let says = |words: &str| told(error).contains(words);
    match error.status().map(u16::from) {
        Some(530) if says("STARTTLS") => return Cause::TlsWanted,
        Some(530) => return Cause::SignInWanted,
        Some(535) => return Cause::WrongPassword,
        Some(_) => return Cause::Other,
        None => {}
    }
    let source = error.source().and_then(|source| source.downcast_ref());
    let tls = source
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref());
    match (tls, source) {
        (Some(rustls::Error::InvalidCertificate(why)), _) => of_certificate(why),
        (Some(rustls::Error::InvalidMessage(_)), _) => Cause::OtherProtocol,
        (Some(_), _) => Cause::Other,
        (None, Some(_)) => Cause::Unreachable,
        (None, None) if error.is_client() && says("STARTTLS") => Cause::NoStartTls,
        (None, None) if error.is_client() && says("authentication mechanism") => Cause::NoSignIn,
        (None, None) if error.is_response() => Cause::OtherProtocol,
        (None, None) => Cause::Other,
    }
}

fn of_certificate(why: &CertificateError) -> Cause {
    match why {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. }
        | CertificateError::NotValidForName
        | CertificateError::NotValidForNameContext { .. } => Cause::WrongCertificate,
        _ => Cause::UnknownAuthority,
    }
}

/// An error with its causes, on one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn relay(text: &str) -> Relay {
        match Route::parse(text) {
            Ok(Route::Server(relay)) => relay,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn letter(to: &str) -> Letter {
        Letter {
            id: [7; 16],
            date: Timestamp::from_unix(1_800_000_000),
            to: to.to_owned(),
            subject: "Grüße".to_owned(),
            text: "Plain ✓\n".to_owned(),
            html: "<p>Plain ✓</p>\n".to_owned(),
        }
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_somebody_says_so() {
        for (url, encryption) in [
            ("smtp://mail.example.org", Encryption::Required),
            ("smtp://u:p@mail.example.org:587", Encryption::Required),
            ("smtp://mail.example.org?tls=none", Encryption::None),
            ("smtp://localhost:25", Encryption::None),
            ("smtp://127.0.0.1", Encryption::None),
            ("smtp://[::1]:2525", Encryption::None),
            ("smtp://localhost?tls=required", Encryption::Required),
            ("smtps://mail.example.org", Encryption::Implicit),
            ("smtps://u:p%40x@[2001:db8::1]:465", Encryption::Implicit),
        ] {
            let relay = relay(url);
            assert_eq!(relay.encryption, encryption, "{url}");
            assert!(relay.connect("example.org").is_ok(), "{url}");
        }
        let is_exposed = |url| Route::parse(url).expect("a route").is_exposed();
        assert!(is_exposed("smtp://mail.example.org?tls=none"));
        assert!(!is_exposed("smtp://mail.example.org") && !is_exposed("smtp://localhost"));
    }

    #[test]
    fn what_is_no_route_is_refused() {
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
            "smtp://host:0",
            "smtp://host:65536",
            "smtp://host:+25",
            "smtp://user@host",
            "smtp://:p@host",
            "smtp://u:@host",
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
        for slip in [
            "smtp//ann:s3cret@host",
            "smtp:/ann:s3cret@host",
            "ann:s3cret@host",
        ] {
            let shown = without_password(slip);
            assert!(
                !shown.contains("s3cret") && shown.ends_with("@host"),
                "{shown}"
            );
        }
        for plain in ["https://host:80", "ann@example.org", "x://ann@host", ""] {
            assert_eq!(without_password(plain), plain);
        }
    }

    #[test]
    fn a_directory_gets_whole_files_for_the_owner_alone() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("out/mail");
        let from = Author::parse("authd <authd@example.org>").expect("a sender");
        let route = Route::Directory(path.clone());
        let mailer = Mailer::open(&route, &from).expect("a route").expect("on");
        mailer.send(&letter("ann@example.org")).expect("sent");
        let files: Vec<_> = fs::read_dir(&path).expect("it").flatten().collect();
        assert_eq!(files.len(), 1);
        assert_eq!(
            files[0].file_name().to_string_lossy(),
            "1800000000-0707070707070707.eml"
        );
        let mode = files[0].metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(files[0].path()).expect("a letter");
        for part in [
            "From: authd <authd@example.org>\r\n",
            "To: ann@example.org\r\n",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n",
            "Message-ID: <07070707070707070707070707070707@example.org>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "multipart/alternative",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
    }

    #[test] // CVE-2020-28247
    fn an_address_cannot_add_a_line() {
        let from = Author::parse("authd@example.org").expect("a sender");
        let mailer = Mailer {
            from,
            way: Way::Log,
        };
        for bad in [
            "ann@example.org\r\nBcc: eve@example.org",
            "ann@example.org, eve@example.org",
            "",
        ] {
            let refused = mailer.compose(&letter(bad)).expect_err(bad);
            assert!(refused.is_final, "{refused:?}");
        }
        for bad in ["", "authd", "a\nb <a@b>", "a@b\r\nBcc: c@d"] {
            assert!(Author::parse(bad).is_err(), "{bad:?}");
        }
    }
}
