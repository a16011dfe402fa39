//! The client of a mail server (RFC 5321): one connection, one letter.
//!
//! A step is a command and its reply, and each has [`PATIENCE`]. The code of the reply decides: 5yz is
//! final, anything else that is no success is worth another try. See `docs/decisions/0012-smtp-client.md` for why this is
//! not a library's.
//!
//! Nothing is pipelined, so each reply belongs to one command. Plain text after the reply to STARTTLS ends the connection,
//! because an attacker on the network may have inserted it.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::address::Envelope;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::reply::{Extensions, NoReply, Reply};
use super::route::{Credentials, Encryption, MailServer};
use super::stream::{self, Stream};
use super::{Cause, PATIENCE, Undelivered, told};
use crate::trust;

/// How long a server may be silent before authd tests whether it expects TLS: such a server sends nothing first. Some servers
/// delay their greeting for up to 5 seconds, to detect clients that do not wait for it.
const SILENCE: Duration = Duration::from_secs(6);

/// How long the answer to the TLS handshake of that test may take.
const TLS_ANSWER: Duration = Duration::from_secs(3);

/// How long the reply to QUIT may take. The result of the letter is known before that.
const FAREWELL: Duration = Duration::from_secs(2);

/// The client of one mail server.
pub(super) struct Client {
    server: MailServer,
    /// The name that it sends with EHLO.
    own_name: String,
    /// For servers with TLS.
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    silence: Duration,
}

impl Client {
    /// A client, not connected yet. `domain` is the domain of the sender.
    ///
    /// # Errors
    /// TLS is required, and this system trusts no certificate, or the host is not a valid name.
    pub fn new(server: &MailServer, domain: &str) -> Result<Client, String> {
        let tls = match server.encryption {
            Encryption::None => None,
            Encryption::Implicit | Encryption::StartTls => {
                let config = trust::client_config(trust::system_certificates()?)?;
                Some((config, server_name(server)?))
            }
        };
        // RFC 5321 §4.1.3: a client without a name gives its address.
        let own_name = match domain.is_ascii() {
            true => domain,
            false => "[127.0.0.1]",
        };
        Ok(Client {
            server: server.clone(),
            own_name: own_name.to_owned(),
            tls,
            silence: SILENCE,
        })
    }

    /// Sends a message, and returns when the server has taken it.
    ///
    /// # Errors
    /// [`Undelivered`].
    pub fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<(), Undelivered> {
        let mut session = self.open()?;
        let signed_in = match &self.server.credentials {
            Some(credentials) => session.sign_in(credentials),
            None => Ok(()),
        };
        let outcome = signed_in.and_then(|()| session.deliver(envelope, message));
        session.quit();
        outcome
    }

    /// Connects, encrypts the connection if the route says so, and sends EHLO.
    fn open(&self) -> Result<Session, Undelivered> {
        let MailServer {
            host,
            port,
            encryption,
            ..
        } = &self.server;
        let addresses = stream::addresses_of(host, *port).map_err(|error| {
            let why = format!("the address of {host} can't be looked up: {}", told(&error));
            failed(Cause::UnknownName, why)
        })?;
        let connect =
            || Stream::connect(&addresses, PATIENCE).map_err(|error| broken("connecting", &error));
        let mut session = match encryption {
            Encryption::Implicit => Session::new(self.encrypt(connect()?)?),
            Encryption::StartTls | Encryption::None => {
                let session = Session::new(connect()?);
                self.unless_silent(session, connect)?
            }
        };
        let greeting = session.reply("the greeting")?;
        accept("the greeting", &greeting, 2)?;
        session.introduce(&self.own_name)?;
        if *encryption == Encryption::StartTls {
            session = self.start_tls(session)?;
            session.introduce(&self.own_name)?;
        }
        Ok(session)
    }

    /// The session when its greeting begins to arrive. A server that stays silent is tried with TLS; if it does not answer,
    /// a new connection waits for the greeting as long as it takes.
    fn unless_silent(
        &self,
        mut session: Session,
        connect: impl Fn() -> Result<Stream, Undelivered>,
    ) -> Result<Session, Undelivered> {
        session.reader.get_mut().allow(self.silence);
        let failure = session.reader.fill_buf().err();
        if failure.is_none_or(|error| error.kind() != io::ErrorKind::TimedOut) {
            return Ok(session);
        }
        if let Ok(name) = server_name(&self.server)
            && session.reader.into_inner().answers_tls(name, TLS_ANSWER)
        {
            return Err(no_reply("the greeting", NoReply::Tls));
        }
        Ok(Session::new(connect()?))
    }

    fn start_tls(&self, mut session: Session) -> Result<Session, Undelivered> {
        if !session.extensions.starttls {
            let why = "the server does not offer STARTTLS".to_owned();
            return Err(failed(Cause::NoStartTls, why));
        }
        session.command("STARTTLS", 2)?;
        if !session.reader.buffer().is_empty() {
            let why = "the server sent more than its reply to STARTTLS in plain text".to_owned();
            return Err(failed(Cause::OtherProtocol, why));
        }
        let mut stream = session.reader.into_inner();
        stream.allow(PATIENCE);
        Ok(Session::new(self.encrypt(stream)?))
    }

    fn encrypt(&self, stream: Stream) -> Result<Stream, Undelivered> {
        let Some((config, name)) = &self.tls else {
            return Ok(stream);
        };
        stream
            .encrypt(config, name.clone())
            .map_err(|error| broken("TLS", &error))
    }
}

fn server_name(server: &MailServer) -> Result<ServerName<'static>, String> {
    ServerName::try_from(server.host.clone())
        .map_err(|_| format!("{} can't be the name in a certificate", server.host))
}

/// A connection whose greeting was read.
struct Session {
    reader: BufReader<Stream>,
    extensions: Extensions,
}

impl Session {
    fn new(stream: Stream) -> Session {
        Session {
            reader: BufReader::new(stream),
            extensions: Extensions::default(),
        }
    }

    /// EHLO; HELO for servers of before 1995 (RFC 5321 §3.2).
    fn introduce(&mut self, own_name: &str) -> Result<(), Undelivered> {
        let reply = self.exchange("EHLO", &format!("EHLO {own_name}"))?;
        if matches!(reply.code, 500 | 502 | 504) {
            self.extensions = Extensions::default();
            let reply = self.exchange("HELO", &format!("HELO {own_name}"))?;
            return accept("HELO", &reply, 2);
        }
        accept("EHLO", &reply, 2)?;
        self.extensions = Extensions::of(&reply);
        Ok(())
    }

    /// Signs in (RFC 4954) with PLAIN (RFC 4616) or LOGIN.
    fn sign_in(&mut self, credentials: &Credentials) -> Result<(), Undelivered> {
        let Credentials { user, password } = credentials;
        let offers = |mechanism: &str| self.extensions.auth.iter().any(|name| name == mechanism);
        let step = "the sign-in";
        let reply = if offers("PLAIN") {
            let response = [b"\0", &user[..], b"\0", password].concat();
            self.exchange(step, &format!("AUTH PLAIN {}", BASE64.encode(response)))?
        } else if offers("LOGIN") {
            let mut reply = self.exchange(step, "AUTH LOGIN")?;
            for answer in [user, password] {
                if reply.class() == 3 {
                    reply = self.exchange(step, &BASE64.encode(answer))?;
                }
            }
            reply
        } else if self.extensions.auth.is_empty() {
            let why = "the server offers no sign-in".to_owned();
            return Err(failed(Cause::NoSignIn, why));
        } else {
            let offered = self.extensions.auth.join(", ");
            let why = format!(
                "the server offers sign-in with {offered} only, and authd can use PLAIN and LOGIN"
            );
            return Err(failed(Cause::OtherSignIn, why));
        };
        self.accept(step, &reply, 2)
    }

    fn deliver(&mut self, envelope: &Envelope, message: &[u8]) -> Result<(), Undelivered> {
        let mut mail = match envelope.from() {
            Some(from) => format!("MAIL FROM:<{from}>"),
            None => "MAIL FROM:<>".to_owned(),
        };
        if !message.is_ascii() {
            self.needs("8BITMIME", self.extensions.eight_bit_mime)?;
            mail += " BODY=8BITMIME";
        }
        let is_ascii = |address: &lettre::Address| {
            let address: &str = address.as_ref();
            address.is_ascii()
        };
        if !envelope.from().is_none_or(is_ascii) || !envelope.to().iter().all(is_ascii) {
            self.needs("SMTPUTF8", self.extensions.smtp_utf8)?;
            mail += " SMTPUTF8";
        }
        self.command(&mail, 2)?;
        for to in envelope.to() {
            self.command(&format!("RCPT TO:<{to}>"), 2)?;
        }
        self.command("DATA", 3)?;
        self.send("the message", &dot_stuffed(message))?;
        let reply = self.reply("the message")?;
        self.accept("the message", &reply, 2)
    }

    fn needs(&self, extension: &str, is_offered: bool) -> Result<(), Undelivered> {
        match is_offered {
            true => Ok(()),
            false => Err(Undelivered {
                is_final: true,
                why: format!("the letter needs {extension}, and the server does not offer it"),
                cause: Cause::Other,
            }),
        }
    }

    /// RFC 5321 §4.1.1.10. That it fails does not matter.
    fn quit(&mut self) {
        self.reader.get_mut().allow(FAREWELL);
        let written = self.reader.get_mut().write_all(b"QUIT\r\n");
        if written.and_then(|()| self.reader.get_mut().flush()).is_ok() {
            let _ = Reply::read(&mut self.reader);
        }
    }

    /// Sends a command, named in errors by its first words, and expects a reply of `class`.
    fn command(&mut self, line: &str, class: u16) -> Result<(), Undelivered> {
        let step = line.split(':').next().unwrap_or(line);
        let reply = self.exchange(step, line)?;
        self.accept(step, &reply, class)
    }

    fn exchange(&mut self, step: &str, line: &str) -> Result<Reply, Undelivered> {
        self.send(step, format!("{line}\r\n").as_bytes())?;
        self.reply(step)
    }

    fn send(&mut self, step: &str, bytes: &[u8]) -> Result<(), Undelivered> {
        let stream = self.reader.get_mut();
        stream.allow(PATIENCE);
        stream
            .write_all(bytes)
            .and_then(|()| stream.flush())
            .map_err(|error| broken(step, &error))
    }

    fn reply(&mut self, step: &str) -> Result<Reply, Undelivered> {
        self.reader.get_mut().allow(PATIENCE);
        Reply::read(&mut self.reader).map_err(|error| no_reply(step, error))
    }

    fn accept(&self, step: &str, reply: &Reply, class: u16) -> Result<(), Undelivered> {
        let wants_tls = !self.reader.get_ref().is_encrypted()
            && (reply.code == 538 || (reply.code == 530 && self.extensions.starttls));
        accept(step, reply, class).map_err(|refused| Undelivered {
            cause: if wants_tls {
                Cause::TlsWanted
            } else {
                refused.cause
            },
            ..refused
        })
    }
}

/// Whether a reply is one of `class`.
fn accept(step: &str, reply: &Reply, class: u16) -> Result<(), Undelivered> {
    if reply.class() == class {
        return Ok(());
    }
    Err(Undelivered {
        is_final: reply.class() == 5,
        why: format!("{step}: the server replied {reply}"),
        // RFC 4954 §6.
        cause: match reply.code {
            530 => Cause::SignInWanted,
            535 => Cause::WrongPassword,
            _ => Cause::Other,
        },
    })
}

/// A failure after which another try makes sense.
fn failed(cause: Cause, why: String) -> Undelivered {
    Undelivered {
        is_final: false,
        why,
        cause,
    }
}

fn no_reply(step: &str, error: NoReply) -> Undelivered {
    match error {
        NoReply::Io(error) => broken(step, &error),
        NoReply::Tls => {
            let why = format!("{step}: the server expects TLS from the first byte");
            failed(Cause::TlsPort, why)
        }
        NoReply::NotSmtp(why) => failed(Cause::OtherProtocol, format!("{step}: {why}")),
    }
}

/// A connection that failed.
fn broken(step: &str, error: &io::Error) -> Undelivered {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    let (cause, why) = match tls {
        Some(rustls::Error::InvalidCertificate(why)) => {
            (Cause::Certificate(trust::fault_of(why)), told(error))
        }
        Some(rustls::Error::InvalidMessage(_)) => (
            Cause::OtherProtocol,
            "the server does not answer in TLS".to_owned(),
        ),
        Some(_) => (Cause::Other, told(error)),
        None => {
            let why = match error.kind() {
                io::ErrorKind::TimedOut => "the server did not answer in time".to_owned(),
                io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
                _ => told(error),
            };
            (Cause::Unreachable, why)
        }
    };
    failed(cause, format!("{step}: {why}"))
}

/// A message as DATA sends it (RFC 5321 §4.5.2): each line ends with CRLF, one that begins with a dot gets another, and a
/// line with only a dot ends it. CR and LF occur as line ends alone (§2.3.8).
fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 64);
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    for line in message.split(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend(line.iter().filter(|byte| **byte != b'\r'));
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

#[cfg(test)]
mod tests;
