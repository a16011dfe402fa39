//! The texts of letters, in plain text and in HTML.
//!
//! `templates/mail/` has a file for each [`Message`], with its subject, its paragraphs and the words on its button. One
//! layout shows these parts as plain text and another as HTML, so the two cannot disagree. A letter says who did what,
//! when and from which IP address, what to do if that was the reader, and what to do if it was not.
//!
//! A letter carries nothing that a stranger can choose: no display name, no user agent. Otherwise an attacker who requests
//! a reset or registers with another person's address could write to that person in this server's name.
//!
//! Links are built from the configured URL, never from a request (req 25). A message that needs a link cannot be made
//! without one.

use std::fmt;
use std::net::IpAddr;

use askama::Template;
use textwrap::{Options, WordSplitter, WrapAlgorithm};

use crate::clock::Timestamp;
use crate::mail::Letter;
use crate::secret::{InvitationToken, ResetToken, VerificationToken};

/// The longest line of a plain text, in characters: RFC 5322 §2.1.1 allows 78, and replies put `> ` before it.
const LINE_WIDTH: usize = 72;

/// Ends each part of a message in `templates/mail/message.txt`. No address and no URL contains a control character.
const PART_END: char = '\u{c}';

/// What a letter is about, as the outbox stores it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topic {
    /// It carries a link to choose a new password.
    PasswordReset,
    /// It carries a link to prove the account's address.
    EmailVerification,
    /// It carries a link that confirms a change of address, to the present one.
    EmailChangePresent,
    /// The same, to the new one.
    EmailChangeNew,
    /// It carries a link that proves the address of a registration, and creates the account.
    Registration,
    /// A registration used the address of this account; it carries a link to choose a new password.
    AlreadyRegistered,
    /// The password was changed.
    PasswordChanged,
    /// The address of the account was changed; this goes to the old address.
    EmailChanged,
    /// The account was deleted; this goes to the address that it had.
    AccountDeleted,
    /// There were many sign-in attempts with a wrong password.
    ManyFailures,
    /// It carries an invitation to create an account.
    Invitation,
}

impl Topic {
    const ALL: [Topic; 11] = [
        Topic::PasswordReset,
        Topic::EmailVerification,
        Topic::EmailChangePresent,
        Topic::EmailChangeNew,
        Topic::Registration,
        Topic::AlreadyRegistered,
        Topic::PasswordChanged,
        Topic::EmailChanged,
        Topic::AccountDeleted,
        Topic::ManyFailures,
        Topic::Invitation,
    ];

    /// The stable name that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Topic::PasswordReset => "password_reset",
            Topic::EmailVerification => "email_verification",
            Topic::EmailChangePresent => "email_change_present",
            Topic::EmailChangeNew => "email_change_new",
            Topic::Registration => "registration",
            Topic::AlreadyRegistered => "already_registered",
            Topic::PasswordChanged => "password_changed",
            Topic::EmailChanged => "email_changed",
            Topic::AccountDeleted => "account_deleted",
            Topic::ManyFailures => "many_failures",
            Topic::Invitation => "invitation",
        }
    }

    /// The topic of this name.
    pub fn read(text: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.as_str() == text)
    }
}

/// The server that a letter is from, by its public URL.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    pub url: &'a str,
}

impl<'a> Server<'a> {
    /// The host of the URL, with its port if it has one.
    fn host(self) -> &'a str {
        self.url
            .split_once("://")
            .map_or(self.url, |(_, host)| host)
    }

    /// The link that lets the account owner choose a new password.
    pub fn reset_link(self, token: &ResetToken, expires_at: Timestamp) -> Link {
        self.link("reset?token=", &token.reveal(), expires_at)
    }

    /// The link that confirms an address.
    pub fn verification_link(self, token: &VerificationToken, expires_at: Timestamp) -> Link {
        self.link("verify?token=", &token.reveal(), expires_at)
    }

    /// The link that accepts an invitation.
    pub fn invitation_link(self, token: &InvitationToken, expires_at: Timestamp) -> Link {
        self.link("register?invite=", &token.reveal(), expires_at)
    }

    fn link(self, path: &str, secret: &str, expires_at: Timestamp) -> Link {
        Link {
            url: format!("{}/{path}{secret}", self.url),
            expires_at,
        }
    }
}

/// A link with a secret. It has no `Debug`, so that the secret stays out of logs.
pub struct Link {
    url: String,
    expires_at: Timestamp,
}

impl Link {
    fn expires(&self) -> String {
        self.expires_at.in_words()
    }
}

/// When something was done, and from where.
#[derive(Clone, Copy)]
pub struct Origin {
    pub at: Timestamp,
    /// The client's address; `None` if an operator did it.
    pub ip: Option<IpAddr>,
}

impl Origin {
    fn is_operator(self) -> bool {
        self.ip.is_none()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.in_words();
        match self.ip {
            Some(ip) => write!(f, "{at}, from the IP address {ip}"),
            None => write!(f, "{at}, by an operator of this server"),
        }
    }
}

/// What a letter says. `email` is the address that it goes to.
#[derive(Template)]
pub enum Message<'a> {
    /// See [`Topic::PasswordReset`]; the same for the others.
    #[template(path = "mail/password_reset.txt")]
    PasswordReset {
        server: Server<'a>,
        email: &'a str,
        link: Link,
        requested: Origin,
    },
    #[template(path = "mail/email_verification.txt")]
    EmailVerification {
        server: Server<'a>,
        email: &'a str,
        link: Link,
        requested: Origin,
    },
    #[template(path = "mail/email_change_present.txt")]
    EmailChangePresent {
        server: Server<'a>,
        email: &'a str,
        new_email: &'a str,
        link: Link,
        requested: Origin,
    },
    #[template(path = "mail/email_change_new.txt")]
    EmailChangeNew {
        server: Server<'a>,
        email: &'a str,
        link: Link,
        requested: Origin,
    },
    #[template(path = "mail/registration.txt")]
    Registration {
        server: Server<'a>,
        email: &'a str,
        link: Link,
        requested: Origin,
    },
    #[template(path = "mail/already_registered.txt")]
    AlreadyRegistered {
        server: Server<'a>,
        email: &'a str,
        link: Link,
        requested: Origin,
    },
    #[template(path = "mail/password_changed.txt")]
    PasswordChanged {
        server: Server<'a>,
        email: &'a str,
        changed: Origin,
    },
    #[template(path = "mail/email_changed.txt")]
    EmailChanged {
        server: Server<'a>,
        email: &'a str,
        changed: Origin,
    },
    #[template(path = "mail/account_deleted.txt")]
    AccountDeleted {
        server: Server<'a>,
        email: &'a str,
        deleted: Origin,
    },
    #[template(path = "mail/many_failures.txt")]
    ManyFailures {
        server: Server<'a>,
        email: &'a str,
        latest: Origin,
    },
    #[template(path = "mail/invitation.txt")]
    Invitation {
        server: Server<'a>,
        email: &'a str,
        link: Link,
    },
    /// With it an operator finds out whether mail arrives.
    #[template(path = "mail/test_message.txt")]
    Test { server: Server<'a>, sent: Timestamp },
}

/// A letter without its envelope.
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Message<'_> {
    /// The text of the letter.
    pub fn render(&self) -> Rendered {
        let parts = text_of(self);
        let mut parts = parts.split(PART_END).map(paragraphs);
        let mut next = || parts.next().unwrap_or_default();
        let (subject, opening, action, closing) = (next(), next(), next(), next());
        let subject = subject.join(" ");
        let action = action.join(" ");
        let button = self.link().map(|link| Button {
            words: &action,
            url: &link.url,
        });
        let html = text_of(&HtmlPart {
            subject: &subject,
            opening: &opening,
            button,
            closing: &closing,
        });
        let text = text_of(&TextPart {
            opening: &wrapped(&opening),
            button,
            closing: &wrapped(&closing),
        });
        Rendered {
            subject,
            text,
            html,
        }
    }

    fn link(&self) -> Option<&Link> {
        match self {
            Message::PasswordReset { link, .. }
            | Message::EmailVerification { link, .. }
            | Message::EmailChangePresent { link, .. }
            | Message::EmailChangeNew { link, .. }
            | Message::Registration { link, .. }
            | Message::AlreadyRegistered { link, .. }
            | Message::Invitation { link, .. } => Some(link),
            Message::PasswordChanged { .. }
            | Message::EmailChanged { .. }
            | Message::AccountDeleted { .. }
            | Message::ManyFailures { .. }
            | Message::Test { .. } => None,
        }
    }
}

/// The letter with which an operator finds out whether mail arrives. `id` becomes its Message-ID.
pub fn test_letter(server_url: &str, to: &str, now: Timestamp, id: [u8; 16]) -> Letter {
    let server = Server { url: server_url };
    let Rendered {
        subject,
        text,
        html,
    } = Message::Test { server, sent: now }.render();
    Letter {
        id,
        date: now,
        to: to.to_owned(),
        subject,
        text,
        html,
    }
}

#[derive(Clone, Copy)]
struct Button<'a> {
    words: &'a str,
    url: &'a str,
}

#[derive(Template)]
#[template(path = "mail/layout.txt")]
struct TextPart<'a> {
    opening: &'a [String],
    button: Option<Button<'a>>,
    closing: &'a [String],
}

#[derive(Template)]
#[template(path = "mail/layout.html")]
struct HtmlPart<'a> {
    subject: &'a str,
    opening: &'a [String],
    button: Option<Button<'a>>,
    closing: &'a [String],
}

fn text_of(template: &impl Template) -> String {
    // It fails only where writing the text fails, and writing to a String does not.
    template.render().unwrap_or_default()
}

/// The paragraphs of a text, each on one line.
fn paragraphs(text: &str) -> Vec<String> {
    text.split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|paragraph| !paragraph.is_empty())
        .collect()
}

/// Each paragraph in lines of at most [`LINE_WIDTH`] characters. A longer word stays whole, since it may be an address.
fn wrapped(paragraphs: &[String]) -> Vec<String> {
    let options = Options::new(LINE_WIDTH)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    paragraphs
        .iter()
        .map(|paragraph| textwrap::fill(paragraph, &options))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Server<'static> = Server {
        url: "https://auth.example.org",
    };
    const EMAIL: &str = "o'neil&co@example.org";
    const AT: Origin = Origin {
        at: Timestamp::from_unix(1_800_000_000),
        ip: Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1))),
    };

    fn link() -> Link {
        SERVER.link("a?b=", "secret", Timestamp::from_unix(1_800_000_900))
    }

    fn all(done: Origin) -> Vec<(&'static str, Message<'static>)> {
        let (server, email) = (SERVER, EMAIL);
        let with_link = |topic: Topic| {
            let (link, requested) = (link(), done);
            let message = match topic {
                Topic::PasswordReset => Message::PasswordReset {
                    server,
                    email,
                    link,
                    requested,
                },
                Topic::EmailVerification => Message::EmailVerification {
                    server,
                    email,
                    link,
                    requested,
                },
                Topic::EmailChangePresent => Message::EmailChangePresent {
                    server,
                    email,
                    new_email: "new@example.org",
                    link,
                    requested,
                },
                Topic::EmailChangeNew => Message::EmailChangeNew {
                    server,
                    email,
                    link,
                    requested,
                },
                Topic::Registration => Message::Registration {
                    server,
                    email,
                    link,
                    requested,
                },
                Topic::AlreadyRegistered => Message::AlreadyRegistered {
                    server,
                    email,
                    link,
                    requested,
                },
                Topic::PasswordChanged => Message::PasswordChanged {
                    server,
                    email,
                    changed: done,
                },
                Topic::EmailChanged => Message::EmailChanged {
                    server,
                    email,
                    changed: done,
                },
                Topic::AccountDeleted => Message::AccountDeleted {
                    server,
                    email,
                    deleted: done,
                },
                Topic::ManyFailures => Message::ManyFailures {
                    server,
                    email,
                    latest: done,
                },
                Topic::Invitation => Message::Invitation {
                    server,
                    email,
                    link,
                },
            };
            (topic.as_str(), message)
        };
        let test = Message::Test {
            server,
            sent: done.at,
        };
        let mut all: Vec<_> = Topic::ALL.into_iter().map(with_link).collect();
        all.push(("test", test));
        all
    }

    /// The sentences of an HTML part, as its reader sees them.
    fn visible(html: &str) -> String {
        let (_, body) = html.split_once("<body").expect("a body");
        let mut text = String::new();
        for piece in body.split('<').skip(1) {
            let (_, words) = piece.split_once('>').expect("a tag");
            text = text + " " + words;
        }
        for (entity, c) in [("&#39;", "'"), ("&#38;", "&"), ("&#60;", "<")] {
            text = text.replace(entity, c);
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test] // req 25
    fn both_parts_of_every_letter_say_the_same() {
        for (name, message) in all(AT) {
            let Rendered { text, html, .. } = message.render();
            let seen = visible(&html);
            assert!(
                text.starts_with("Hello,\n\n") && text.ends_with(".\n"),
                "{text}"
            );
            assert!(
                !text.contains("\n\n\n") && !text.contains(" \n"),
                "{text:?}"
            );
            for paragraph in text.split("\n\n") {
                let sentence = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(
                    seen.contains(&sentence),
                    "{name}: {sentence:?} is not in {seen}"
                );
            }
            assert!(
                text.lines().all(|line| line.chars().count() <= LINE_WIDTH),
                "{text}"
            );
        }
    }

    #[test]
    fn a_letter_with_a_link_has_a_button_and_the_address_to_copy() {
        let url = "https://auth.example.org/a?b=secret";
        for (name, message) in all(AT) {
            let Rendered { text, html, .. } = message.render();
            let expected = usize::from(message.link().is_some());
            assert_eq!(
                text.matches(&format!("\n\n    {url}\n\n")).count(),
                expected,
                "{name}: {text}"
            );
            assert_eq!(html.matches("class=\"button\"").count(), expected, "{name}");
            assert_eq!(
                html.matches(&format!("href=\"{url}\"")).count(),
                2 * expected,
                "{name}"
            );
            assert_eq!(
                html.matches(&format!(">{url}<")).count(),
                expected,
                "{name}"
            );
            assert_eq!(
                html.matches("></a>").count(),
                0,
                "{name}: a button without words"
            );
            let says_when = text
                .replace('\n', " ")
                .contains("works once, until 15 January 2027, 08:15 UTC");
            assert_eq!(says_when, expected == 1, "{name}: {text}");
        }
    }

    #[test] // who, when and from where
    fn a_letter_names_the_address_or_the_operator() {
        let operator = Origin { ip: None, ..AT };
        for (client, operator) in all(AT).into_iter().zip(all(operator)) {
            let told = |message: &Message<'_>| message.render().text.replace('\n', " ");
            let (name, client, operator) = (client.0, told(&client.1), told(&operator.1));
            assert!(client.contains("example.org"), "{client}");
            if ["invitation", "test"].contains(&name) {
                assert!(client.contains("An operator of"), "{client}");
                continue;
            }
            let date = "15 January 2027, 08:00 UTC";
            assert!(
                client.contains(&format!("on {date}, from the IP address 192.0.2.1.")),
                "{client}"
            );
            assert!(
                operator.contains(&format!("on {date}, by an operator of this server.")),
                "{operator}"
            );
            // Operators need no password.
            assert!(!operator.contains("who deleted it knew"), "{operator}");
        }
    }

    #[test]
    fn a_subject_is_one_line_that_names_the_server() {
        for (name, message) in all(AT) {
            let subject = message.render().subject;
            assert!(subject.contains("auth.example.org"), "{name}: {subject}");
            assert!(
                !subject.contains(char::is_control) && subject.len() <= 78,
                "{subject}"
            );
        }
    }

    #[test]
    fn values_are_escaped_in_html_and_not_in_plain_text() {
        let message = Message::PasswordChanged {
            server: SERVER,
            email: "a<b>&'c@example.org",
            changed: AT,
        };
        let Rendered { text, html, .. } = message.render();
        assert!(
            html.contains("a&#60;b&#62;&#38;&#39;c@example.org"),
            "{html}"
        );
        assert!(text.contains("a<b>&'c@example.org"), "{text}");
    }

    #[test]
    fn links_lead_to_the_pages_of_the_configured_url() {
        let at = AT.at;
        let reset = ResetToken::from_bytes([7; 32]);
        let verification = VerificationToken::from_bytes([7; 32]);
        let invitation = InvitationToken::from_bytes([7; 32]);
        for (link, path, secret) in [
            (
                SERVER.reset_link(&reset, at),
                "reset?token=",
                reset.reveal(),
            ),
            (
                SERVER.verification_link(&verification, at),
                "verify?token=",
                verification.reveal(),
            ),
            (
                SERVER.invitation_link(&invitation, at),
                "register?invite=",
                invitation.reveal(),
            ),
        ] {
            assert_eq!(link.url, format!("https://auth.example.org/{path}{secret}"));
        }
    }
}
