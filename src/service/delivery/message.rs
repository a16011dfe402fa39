//! What stands in the letters, in plain text and in HTML.
//!
//! Both parts are made from the same sentences, so they cannot disagree. A letter says what happened, what to do if
//! that was you, and what if it was not. It carries nothing that a stranger could choose: no name, no user agent, since
//! whoever asks for a reset or registers with another's address would otherwise write to that address with our voice.
//! The link is built from the configured URL, never from a request (req 25).

use std::fmt::Write;
use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::mail::Letter;

/// What a letter is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::service) enum Topic {
    /// It carries a link to choose a new password.
    PasswordReset,
    /// It carries a link to prove the account's address.
    EmailVerification,
    /// It carries a link that confirms a change of address, to the present one.
    EmailChangePresent,
    /// The same, to the new one.
    EmailChangeNew,
    /// It carries a link that proves the address of somebody who registered, and makes the account.
    Registration,
    /// Somebody registered with the address of this account; it carries a link to choose a new password.
    AlreadyRegistered,
    /// The password was changed.
    PasswordChanged,
    /// The account has another address now; this goes to the one that it had.
    EmailChanged,
    /// The account is gone; this goes to the address that it had.
    AccountDeleted,
    /// Somebody presents wrong passwords, again and again.
    ManyFailures,
    /// It carries an invitation, to somebody who has no account yet.
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

/// What a letter tells of.
pub(in crate::service) struct Occasion<'a> {
    pub topic: Topic,
    /// The server's URL.
    pub issuer: &'a str,
    /// The address that the letter goes to.
    pub email: &'a str,
    /// The address that the account is to have, where it is about that.
    pub new_email: Option<&'a str>,
    /// When it happened.
    pub at: Timestamp,
    /// From where; `None` for an operator.
    pub ip: Option<IpAddr>,
    /// The secret of the link and its end, if there is one.
    pub link: Option<(&'a str, Timestamp)>,
}

/// A letter without its envelope.
pub(in crate::service) struct Written {
    pub subject: String,
    pub text: String,
    pub html: String,
}

struct Draft {
    subject: String,
    opening: Vec<String>,
    /// What the button says, and where it leads.
    link: Option<(&'static str, String)>,
    closing: Vec<String>,
}

/// Writes the letter for an occasion.
pub(in crate::service) fn write(occasion: &Occasion<'_>) -> Written {
    let draft = draft(occasion);
    Written {
        text: draft.text(),
        html: draft.html(),
        subject: draft.subject,
    }
}

/// The letter with which an operator finds out whether mail arrives. `id` names it.
pub fn trial(issuer: &str, to: &str, at: Timestamp, id: [u8; 16]) -> Letter {
    let draft = Draft {
        subject: format!("Mail from {} arrives", host_of(issuer)),
        opening: vec![format!(
            "this is a trial: whoever runs {issuer} wanted to know, on {}, whether its mail arrives. It does.",
            at.in_words()
        )],
        link: None,
        closing: vec!["There is nothing to do.".to_owned()],
    };
    Letter {
        id,
        date: at,
        to: to.to_owned(),
        text: draft.text(),
        html: draft.html(),
        subject: draft.subject,
    }
}

fn host_of(issuer: &str) -> &str {
    issuer.split_once("://").map_or(issuer, |(_, host)| host)
}

fn draft(occasion: &Occasion<'_>) -> Draft {
    let Occasion {
        topic,
        issuer,
        email,
        new_email,
        at,
        ip,
        link,
    } = occasion;
    let host = host_of(issuer);
    let whence = match ip {
        Some(ip) => format!("from the IP address {ip}"),
        None => "by whoever runs this server".to_owned(),
    };
    let when = at.in_words();
    match topic {
        Topic::PasswordReset => {
            let (secret, until) = link.unwrap_or(("", *at));
            let until = until.in_words();
            Draft {
                subject: format!("Choose a new password for {host}"),
                opening: vec![
                    format!(
                        "somebody asked for a new password for your account {email} at {host}. If that was you, this \
                         link lets you choose one. It works once, until {until}."
                    ),
                ],
                link: Some((
                    "Choose a new password",
                    format!("{issuer}/reset?token={secret}"),
                )),
                closing: vec![
                    format!("It was asked for {whence}, on {when}."),
                    "If it was not you, there is nothing to do: your password is as it was, and without this letter \
                     nobody can change it in this way."
                        .to_owned(),
                ],
            }
        }
        Topic::EmailVerification => {
            let (secret, until) = link.unwrap_or(("", *at));
            let until = until.in_words();
            Draft {
                subject: format!("Confirm your e-mail address for {host}"),
                opening: vec![format!(
                    "there is an account at {host} with the address {email}. If it is yours, this link confirms that you \
                     read mail here. It works once, until {until}."
                )],
                link: Some((
                    "Confirm this address",
                    format!("{issuer}/verify?token={secret}"),
                )),
                closing: vec![
                    format!("It was asked for {whence}, on {when}."),
                    "If the account is not yours, do not confirm: whoever made it knows its password and you do not. To \
                     have it for yourself, ask for a new password there."
                        .to_owned(),
                ],
            }
        }
        Topic::EmailChangePresent => {
            let (secret, until) = link.unwrap_or(("", *at));
            let until = until.in_words();
            let new_email = new_email.unwrap_or("another one");
            Draft {
                subject: format!("Confirm another e-mail address for your account at {host}"),
                opening: vec![format!(
                    "somebody who knows the password of your account {email} at {host} asked to change its address to \
                     {new_email}. If that was you, this link confirms it from here; a letter to the new address has a \
                     link of its own, and it takes both. This one works once, until {until}."
                )],
                link: Some((
                    "Confirm the change",
                    format!("{issuer}/verify?token={secret}"),
                )),
                closing: vec![
                    format!("It was asked for {whence}, on {when}."),
                    "If it was not you, do not confirm, and choose a new password now: that also puts an end to the \
                     change."
                        .to_owned(),
                ],
            }
        }
        Topic::EmailChangeNew => {
            let (secret, until) = link.unwrap_or(("", *at));
            let until = until.in_words();
            Draft {
                subject: format!("Confirm your new e-mail address for {host}"),
                opening: vec![format!(
                    "somebody asked to use the address {email} for an account at {host}. If that was you, this link \
                     confirms that you read mail here; a letter to the present address of the account has a link of \
                     its own, and it takes both. This one works once, until {until}."
                )],
                link: Some((
                    "Confirm this address",
                    format!("{issuer}/verify?token={secret}"),
                )),
                closing: vec![
                    format!("It was asked for {whence}, on {when}."),
                    "If it was not you, there is nothing to do: without this letter nobody can use your address here."
                        .to_owned(),
                ],
            }
        }
        Topic::Registration => {
            let (secret, until) = link.unwrap_or(("", *at));
            let until = until.in_words();
            Draft {
                subject: format!("Confirm your registration at {host}"),
                opening: vec![format!(
                    "somebody registered at {host} with the address {email}. If that was you, this link confirms that \
                     you read mail here, and you have your account, with the password that you chose. It works once, \
                     until {until}."
                )],
                link: Some((
                    "Confirm the registration",
                    format!("{issuer}/verify?token={secret}"),
                )),
                closing: vec![
                    format!("The registration came {whence}, on {when}."),
                    "If it was not you, do not confirm: the account would have somebody else's password. Without this \
                     link there is no account, and there is nothing for you to do."
                        .to_owned(),
                ],
            }
        }
        Topic::AlreadyRegistered => {
            let (secret, until) = link.unwrap_or(("", *at));
            let until = until.in_words();
            Draft {
                subject: format!("You have an account at {host} already"),
                opening: vec![format!(
                    "somebody wanted to use the address {email} at {host}, where it has an account already. If that was \
                     you, sign in; and if you forgot the password, this link lets you choose a new one. It works once, \
                     until {until}."
                )],
                link: Some((
                    "Choose a new password",
                    format!("{issuer}/reset?token={secret}"),
                )),
                closing: vec![
                    format!("It was asked for {whence}, on {when}."),
                    "If it was not you, there is nothing to do: your account is as it was, and whoever tried was not \
                     told that it is there."
                        .to_owned(),
                ],
            }
        }
        Topic::PasswordChanged => Draft {
            subject: format!("Your password for {host} was changed"),
            opening: vec![
                format!(
                    "the password of your account {email} at {host} was changed {whence}, on {when}. Other devices \
                     were signed out."
                ),
                "If that was you, there is nothing to do.".to_owned(),
            ],
            link: None,
            closing: vec![format!(
                "If it was not you, somebody else has your account. Ask for a new password at {issuer} now, or tell \
                 whoever runs this server; and change the password of this mailbox too."
            )],
        },
        Topic::EmailChanged => Draft {
            subject: format!("Your account at {host} has another e-mail address"),
            opening: vec![
                format!(
                    "the e-mail address of your account at {host} is {email} no more: it was changed {whence}, on {when}. \
                     Letters about the account go to the new one from now on."
                ),
                "If that was you, there is nothing to do.".to_owned(),
            ],
            link: None,
            closing: vec![
                "If it was not you, somebody else has your account. Tell whoever runs this server now; and change the \
                 password of this mailbox too."
                    .to_owned(),
            ],
        },
        Topic::AccountDeleted => Draft {
            subject: format!("Your account at {host} was deleted"),
            opening: vec![
                format!(
                    "the account with the address {email} at {host} was deleted {whence}, on {when}, with all that belonged \
                     to it. Whoever did so knew its password."
                ),
                "If that was you, there is nothing to do.".to_owned(),
            ],
            link: None,
            closing: vec![
                "If it was not you, tell whoever runs this server now: a backup may have it. And change the password of \
                 this mailbox too."
                    .to_owned(),
            ],
        },
        Topic::ManyFailures => Draft {
            subject: format!("Many wrong passwords for your account at {host}"),
            opening: vec![
                format!(
                    "somebody tries one wrong password after the other for your account {email} at {host}. The latest \
                     try came {whence}, on {when}. Nobody got in."
                ),
                "Further tries have to wait, and so does a sign-in of your own. Devices that are signed in stay so."
                    .to_owned(),
            ],
            link: None,
            closing: vec![
                "If that was you, ask for a new password: choosing one ends the wait.".to_owned(),
                "If it was not you, there is nothing to do, as long as your password is one that you use nowhere \
                 else."
                    .to_owned(),
            ],
        },
        Topic::Invitation => {
            let (secret, until) = link.unwrap_or(("", *at));
            let until = until.in_words();
            Draft {
                subject: format!("You are invited to {host}"),
                opening: vec![format!(
                    "whoever runs {host} invites you to make an account there, with your address {email}. This link \
                     lets you do so. It works once, until {until}."
                )],
                link: Some((
                    "Make your account",
                    format!("{issuer}/register?invite={secret}"),
                )),
                closing: vec![
                    "If you do not want an account there, there is nothing to do: without this letter nobody can make \
                     one in this way."
                        .to_owned(),
                ],
            }
        }
    }
}

impl Draft {
    fn text(&self) -> String {
        let mut text = "Hello,\n\n".to_owned();
        for paragraph in &self.opening {
            text += &format!("{}\n\n", wrapped(paragraph));
        }
        if let Some((_, url)) = &self.link {
            text += &format!("    {url}\n\n");
        }
        for paragraph in &self.closing {
            text += &format!("{}\n\n", wrapped(paragraph));
        }
        text.truncate(text.trim_end().len());
        text + "\n"
    }

    fn html(&self) -> String {
        let mut body = String::new();
        let mut paragraph = |text: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(body, "<p>{}</p>", escaped(text));
        };
        paragraph("Hello,");
        self.opening.iter().for_each(|text| paragraph(text));
        if let Some((label, url)) = &self.link {
            let url = escaped(url);
            let _ = writeln!(
                body,
                "<p style=\"margin:28px 0\"><a href=\"{url}\" style=\"background:#1d4ed8;color:#fff;padding:12px 20px;\
                 border-radius:6px;text-decoration:none;font-weight:600\">{}</a></p>\n\
                 <p style=\"font-size:13px;color:#555\">Or copy this into your browser:<br>\
                 <span style=\"word-break:break-all\">{url}</span></p>",
                escaped(label),
            );
        }
        for text in &self.closing {
            let _ = writeln!(body, "<p style=\"color:#555\">{}</p>", escaped(text));
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n\
             <body style=\"margin:0;padding:32px 16px;background:#f4f4f5\">\n\
             <div style=\"max-width:520px;margin:0 auto;padding:24px 32px;background:#fff;border-radius:10px;\
             font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:#18181b\">\n\
             {body}</div>\n</body>\n</html>\n",
            escaped(&self.subject),
        )
    }
}

/// Lines of at most 72 characters, broken between words.
fn wrapped(paragraph: &str) -> String {
    const WIDTH: usize = 72;
    let mut text = String::new();
    let mut column = 0;
    for word in paragraph.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            text.push('\n');
            column = 0;
        }
        if column > 0 {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += length;
    }
    text
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(topic: Topic) -> Written {
        write(&Occasion {
            topic,
            issuer: "https://auth.example.org",
            email: "o'neil&co@example.org",
            new_email: None,
            at: Timestamp::from_unix(1_800_000_000),
            ip: Some(IpAddr::from([192, 0, 2, 1])),
            link: Some(("ap_secret", Timestamp::from_unix(1_800_000_900))),
        })
    }

    #[test] // req 25
    fn a_reset_letter_has_the_link_twice_and_both_parts_say_the_same() {
        let letter = written(Topic::PasswordReset);
        let link = "https://auth.example.org/reset?token=ap_secret";
        assert!(letter.text.contains(&format!("\n    {link}\n")));
        assert!(letter.html.contains(&format!("href=\"{link}\"")));
        for part in ["15 January 2027, 08:15 UTC", "192.0.2.1", "works once"] {
            assert!(letter.text.replace('\n', " ").contains(part), "{part}");
            assert!(letter.html.contains(part), "{part}");
        }
        assert!(letter.text.lines().all(|line| line.len() <= 76));
    }

    #[test]
    fn an_invitation_has_its_link_twice_and_both_parts_say_the_same() {
        let letter = written(Topic::Invitation);
        let link = "https://auth.example.org/register?invite=ap_secret";
        assert!(letter.text.contains(&format!("\n    {link}\n")));
        assert!(letter.html.contains(&format!("href=\"{link}\"")));
        for part in ["15 January 2027, 08:15 UTC", "works once"] {
            assert!(letter.text.replace('\n', " ").contains(part), "{part}");
            assert!(letter.html.contains(part), "{part}");
        }
    }

    #[test]
    fn what_stands_in_html_is_escaped() {
        let letter = written(Topic::PasswordChanged);
        assert!(letter.html.contains("o&#39;neil&amp;co@example.org"));
        assert!(
            letter
                .text
                .replace('\n', " ")
                .contains("o'neil&co@example.org")
        );
        assert!(!letter.text.contains("reset?token"));
    }
}
