//! Mail: a letter, and how it is sent.
//!
//! A [`Route`] is what an operator sets: off, the log, a directory or a mail server. A [`Mailer`] sends one [`Letter`] at
//! a time along a route, and says of each failure whether another try makes sense. The outbox decides when a letter is
//! written, to whom, and how often it is tried.
//!
//! *Letters to a mail server are encrypted.* A letter carries a link with which its reader can take over an account, so
//! `smtp://` insists on STARTTLS (RFC 3207) with a certificate that this system trusts, and `smtps://` speaks TLS from
//! the first byte (RFC 8314). Only a server on this machine gets plain text, and one for which an operator sets
//! `?tls=none`.
//!
//! *A server that hangs costs the caller [`PATIENCE`] for each step.* The server sends letters on a thread of its own.
//!
//! This module never checks an address, never prints a password and never tries again by itself.

mod reply;
mod route;
mod smtp;
mod stream;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::address::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

use crate::clock::Timestamp;
use crate::trust::CertificateFault;

pub use route::{Author, MailServer, Route, without_password};

/// How long one step of a conversation with a mail server may take: connecting, and each of its replies. RFC 5321
/// §4.5.3.2 allows servers minutes; a letter that takes longer than this is tried again later.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A letter, ready to be sent. It has no `Debug`, since it may carry a secret.
#[derive(Clone)]
pub struct Letter {
    /// For its Message-ID: the same for each try of the same text.
    pub id: [u8; 16],
    /// When it was written.
    pub date: Timestamp,
    /// The recipient's address.
    pub to: String,
    /// One line without control characters.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// Why a letter was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The refusal is permanent (RFC 5321 §4.2.1: 5yz): another try would get the same reply.
    pub is_final: bool,
    /// For the log: one line, without the letter.
    pub why: String,
    /// The kind of failure, for advice.
    pub cause: Cause,
}

/// The kinds of failure that need different advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The name of the server has no address.
    UnknownName,
    /// No server listens at this address and port, or it did not answer in time.
    Unreachable,
    /// The certificate of the server was refused.
    Certificate(CertificateFault),
    /// The server expects TLS from the first byte, and got plain text.
    TlsPort,
    /// The server does not speak SMTP, or does not speak TLS on a port for TLS.
    OtherProtocol,
    /// The server does not offer STARTTLS.
    NoStartTls,
    /// The server wants STARTTLS first (RFC 3207 §4).
    TlsWanted,
    /// The server offers no sign-in on this connection.
    NoSignIn,
    /// The server offers only ways to sign in that authd does not have.
    OtherSignIn,
    /// The server wants a sign-in (RFC 4954 §6: 530).
    SignInWanted,
    /// User or password are wrong (RFC 4954 §6: 535).
    WrongPassword,
    /// Another failure, which only its text describes.
    Other,
}

/// Sends letters along one route.
pub struct Mailer {
    from: Author,
    transport: Transport,
}

type SendFunction = dyn Fn(&Letter) -> Result<(), Undelivered> + Send + Sync;

enum Transport {
    Log,
    Directory(PathBuf),
    Server(Box<smtp::Client>),
    Function(Box<SendFunction>),
}

impl Mailer {
    /// Opens a route; `None` for [`Route::Off`]. Nothing is sent and no server is connected to yet. A directory is created
    /// if it is missing.
    ///
    /// # Errors
    /// Why the route can't be used, in one or two sentences.
    pub fn open(route: &Route, from: &Author) -> Result<Option<Mailer>, String> {
        let transport = match route {
            Route::Off => return Ok(None),
            Route::Log => Transport::Log,
            Route::Directory(path) => {
                make_directory(path)
                    .map_err(|error| format!("cannot use {}: {error}", path.display()))?;
                Transport::Directory(path.clone())
            }
            Route::Server(server) => {
                let client = smtp::Client::new(server, from.0.email.domain())?;
                Transport::Server(Box::new(client))
            }
        };
        Ok(Some(Mailer {
            from: from.clone(),
            transport,
        }))
    }

    /// A mailer that calls `send`: for programs that embed authd and send mail by other means. `send` gets no sender, and
    /// `from` is not used.
    pub fn by_hand(
        from: &Author,
        send: impl Fn(&Letter) -> Result<(), Undelivered> + Send + Sync + 'static,
    ) -> Mailer {
        Mailer {
            from: from.clone(),
            transport: Transport::Function(Box::new(send)),
        }
    }

    /// Sends a letter, and returns when it has been taken. May take minutes.
    ///
    /// # Errors
    /// [`Undelivered`] says whether another try makes sense. After a broken connection the letter may have arrived all
    /// the same.
    pub fn send(&self, letter: &Letter) -> Result<(), Undelivered> {
        match &self.transport {
            Transport::Function(send) => send(letter),
            Transport::Log => {
                let Letter {
                    to, subject, text, ..
                } = letter;
                tracing::info!(to, subject, text, "mail");
                Ok(())
            }
            Transport::Directory(path) => {
                let message = self.compose(letter)?;
                store(path, letter, &message.formatted()).map_err(|error| Undelivered {
                    is_final: false,
                    why: format!("{}: {error}", path.display()),
                    cause: Cause::Other,
                })
            }
            Transport::Server(client) => {
                let message = self.compose(letter)?;
                client.send(message.envelope(), &message.formatted())
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
            // RFC 3834 §5: no automatic answer is wanted.
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
    // Letters carry secrets: only the owner of the directory reads them.
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Puts a letter into a directory. A program that watches it for `.eml` files sees whole letters only.
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
    fn a_directory_gets_whole_files_that_only_their_owner_can_read() {
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
            transport: Transport::Log,
        };
        for bad in [
            "ann@example.org\r\nBcc: eve@example.org",
            "ann@example.org, eve@example.org",
            "",
        ] {
            let refused = mailer.compose(&letter(bad)).expect_err(bad);
            assert!(refused.is_final, "{refused:?}");
        }
    }
}
