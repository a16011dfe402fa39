//! Checks of mail: whether messages leave, and the test message of `--mail-to`.

use std::fs;
use std::time::Duration;

use super::client::certificate_advice;
use super::finding::Finding;
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::entropy::Entropy;
use crate::mail::{Cause, Mailer, Route, Undelivered};
use crate::service::{self, Examination, MailLimited, Waiting};

const CHECK: &str = "mail";

/// A message that waits for longer than this shows that no server sends it, or that the mail server does not answer.
const SLOW: Duration = Duration::from_secs(10 * 60);

/// Where mail goes, whether messages wait or were given up, and whether the limit on mail was reached.
pub(super) fn route(
    config: &Config,
    examination: Option<&Examination>,
    now: Timestamp,
) -> Vec<Finding> {
    let route = &config.mail;
    let mut findings = Vec::new();
    if let Err(why) = Mailer::open(&without_creating(route), &config.mail_from) {
        findings.push(Finding::problem(CHECK, why, "Correct the setting `mail`."));
    }
    if let Route::Directory(path) = route
        && let Err(error) = fs::read_dir(path)
    {
        findings.push(Finding::warning(
            CHECK,
            format!("the directory {} can't be read: {error}", path.display()),
            "`authd serve` creates it if it may. Otherwise create it for the user that the server runs as.",
        ));
    }
    if let Some(found) = examination {
        findings.extend(messages(config, found, now));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            match route {
                Route::Off => {
                    "off: `authd user reset-link` prints the link that would be mailed".to_owned()
                }
                route => format!("to {route}, from {}", config.mail_from),
            },
        ));
    }
    findings
}

/// What the database tells about messages.
fn messages(config: &Config, found: &Examination, now: Timestamp) -> Vec<Finding> {
    let next = "`authd doctor --mail-to ADDRESS` shows what the mail server answers. The server's log has it too.";
    let mut findings = Vec::new();
    if let Some(messages) = found.letters
        && (messages.tries > 0 || now.since(messages.since) > SLOW)
    {
        let text = match config.mail {
            Route::Off => format!("{}, and mail is off", waiting(messages)),
            _ => waiting(messages),
        };
        findings.push(Finding::warning(CHECK, text, next));
    }
    if let Some(at) = found.letter_failed_at {
        let text = format!("a message could not be sent and was given up at {at}");
        findings.push(Finding::warning(CHECK, text, next));
    }
    findings.extend(found.mail_limited.map(limited));
    findings
}

fn waiting(messages: Waiting) -> String {
    let Waiting {
        count,
        since,
        tries,
    } = messages;
    let waits = match count {
        1 => format!("1 message waits since {since}"),
        _ => format!("{count} messages wait, the oldest since {since}"),
    };
    let which = match count {
        1 => "",
        _ => "one ",
    };
    match tries {
        0 => waits,
        1 => format!("{waits}, and {which}was tried once"),
        _ => format!("{waits}, and {which}was tried {tries} times"),
    }
}

/// The limit on messages to addresses that are not confirmed was reached.
fn limited(limited: MailLimited) -> Finding {
    let MailLimited { count, last_at } = limited;
    // The event is written once an hour at most.
    let when = match count {
        1 => format!("at {last_at}"),
        _ => format!("in {count} hours, the last time at {last_at}"),
    };
    Finding::warning(
        CHECK,
        format!(
            "in the last day the limit on messages to addresses that are not confirmed was reached {when}; further ones \
             were not sent"
        ),
        "Find out which clients request them:\n    authd user list --waiting\n    authd event list\nBlock an attacker's \
         address in the proxy, or set registration = \"invite\". Give users who wait their link: `authd user \
         verify-link` and `authd user reset-link` print it.",
    )
}

/// The route without the directory that opening it would create: `authd doctor` changes nothing.
fn without_creating(route: &Route) -> Route {
    match route {
        Route::Directory(_) => Route::Off,
        route => route.clone(),
    }
}

/// Sends a message at once, without the outbox, and returns what the mail server answered.
pub(super) fn send_test_message(config: &Config, to: &str, clock: &Clock) -> Finding {
    const CHECK: &str = "test message";
    let mailer = match Mailer::open(&config.mail, &config.mail_from) {
        Ok(Some(mailer)) => mailer,
        Ok(None) => {
            return Finding::problem(
                CHECK,
                "mail is off",
                "Set `mail`, then run this command again.",
            );
        }
        Err(why) => return Finding::problem(CHECK, why, "Correct the setting `mail`."),
    };
    let id = Entropy::system().bytes();
    let message = service::test_letter(config.public_url.as_str(), to, clock.wall(), id);
    match mailer.send(&message) {
        Ok(()) => Finding::ok(
            CHECK,
            format!(
                "{} accepted it, for {to}. Check that it arrives",
                config.mail
            ),
        ),
        Err(refusal) => Finding::problem(
            CHECK,
            format!(
                "{} did not accept it, for {to}: {}",
                config.mail, refusal.why
            ),
            advice(&refusal, &config.mail),
        ),
    }
}

/// What to do about a message that was not sent.
fn advice(refusal: &Undelivered, route: &Route) -> String {
    let text = match refusal.cause {
        Cause::Certificate(fault) => {
            let host = match route {
                Route::Server(server) => server.host(),
                _ => "the mail server",
            };
            let advice = certificate_advice(fault, host);
            return format!("{advice} The server needs the same SSL_CERT_FILE as this command.");
        }
        Cause::UnknownName => {
            "Check the name of the host in `mail`, and the DNS server in /etc/resolv.conf."
        }
        Cause::Unreachable => {
            "Check host and port in `mail`, and whether a firewall blocks them. Use smtps:// for port 465, smtp:// for 587 \
             and 25."
        }
        Cause::TlsPort => "Use smtps:// for this port.",
        Cause::OtherProtocol => {
            "Check the port in `mail`. Use smtp:// for port 587 or 25, smtps:// for 465."
        }
        Cause::NoStartTls => {
            "Use smtps:// if the mail server has TLS on another port (465). If it runs on this machine, ?tls=none sends \
             plain text."
        }
        Cause::TlsWanted => "Add ?tls=required to the end of `mail`.",
        Cause::NoSignIn => {
            "The mail server offers no sign-in with a password on this connection. Many servers do so under TLS only: use \
             ?tls=required or smtps://. If it needs no sign-in, remove user and password from `mail`."
        }
        Cause::OtherSignIn => {
            "The mail server accepts no password. Turn on sign-in with a password there (PLAIN or LOGIN, perhaps an app \
             password), or use another mail server."
        }
        Cause::SignInWanted => {
            "The mail server requires a sign-in: put user:password@ before the host in `mail`."
        }
        Cause::WrongPassword => {
            "User or password in `mail` is wrong. An @ in them is written as %40."
        }
        Cause::Other if refusal.is_final => {
            "Another attempt would get the same reply. Check `mail`, `mail_from` and the address."
        }
        Cause::Other => {
            "Try again later. If it fails again, check `mail`: host, port, certificate and password."
        }
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::finding::{State, count};
    use super::*;
    use crate::config::{self, Inputs};

    #[test] // authd doctor changes nothing
    fn a_directory_for_mail_is_not_created() {
        let place = tempfile::tempdir().unwrap();
        let outbox = place.path().join("mail");
        let inputs = Inputs {
            flags: vec![("mail", format!("dir:{}", outbox.display()))],
            ..Inputs::default()
        };
        let config = config::load(inputs).unwrap().config;
        let found = route(&config, None, Timestamp::from_unix(0));
        assert_eq!(count(&found, State::Warning), 1, "{found:?}");
        assert!(!outbox.exists());
    }
}
