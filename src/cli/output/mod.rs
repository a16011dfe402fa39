//! Answers on standard output: tables, or JSON with `--json`.
//!
//! The JSON is the service's own value, and a table shows the part of it that an operator needs: JSON has every id, and
//! times in RFC 3339. In a table, characters that would change what a terminal shows are replaced in text from outside.

mod layout;

pub(super) use layout::COLUMNS;

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::Failure;
use super::doctor::finding::{Finding, State, count};
use crate::clock::Timestamp;
use crate::config::{Loaded, Source};
use crate::service::{
    AccountPage, ClientInfo, Event, Failures, Group, Invitation, KnownApp, LinkRequest, Session,
    SigningKeyInfo, VerificationLink, WaitingMessage, WaitingRegistration,
};

/// The form of answers.
pub(super) struct Output {
    pub json: bool,
}

impl Output {
    /// Prints one thing, with a line for each of its fields.
    pub fn record(&self, value: &Value) -> Result<(), Failure> {
        if self.json {
            return self.print_json(value);
        }
        let fields = value.as_object().into_iter().flatten();
        let fields: Vec<(String, String)> = fields
            .map(|(name, value)| (name.replace('_', " "), shown(value)))
            .collect();
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        print(layout::fields(&fields).as_bytes())
    }

    /// One page of accounts, without their ids. The JSON has them.
    pub fn accounts(&self, page: &AccountPage) -> Result<(), Failure> {
        if self.json {
            return self.print_json(page);
        }
        self.table(
            ["E-MAIL", "USERNAME", "NAME", "ROLE", "STATE"],
            page.accounts.iter().map(|listed| {
                let account = &listed.account;
                let state = match (account.disabled_at, listed.locked_until) {
                    (Some(_), _) => "disabled",
                    (None, Some(_)) => "locked",
                    (None, None) => "active",
                };
                [
                    account.email.clone(),
                    or_dash(account.username.as_ref()),
                    or_dash(account.name.as_ref()),
                    (if account.admin { "admin" } else { "-" }).to_owned(),
                    state.to_owned(),
                ]
            }),
        )?;
        match &page.next {
            Some(next) => finish(writeln!(io::stdout(), "More: --after {next}")),
            None => Ok(()),
        }
    }

    pub fn failures(&self, locked: &[Failures]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "locked": locked }));
        }
        self.table(
            [
                "E-MAIL",
                "FAILURES",
                "LAST FAILURE",
                "LOCKED UNTIL",
                "ADDRESSES",
            ],
            locked.iter().map(|account| {
                [
                    account.email.clone(),
                    account.failures.to_string(),
                    time(&account.last_at),
                    account.locked_until.as_ref().map_or_else(dash, time),
                    listed(&account.addresses),
                ]
            }),
        )
    }

    pub fn waiting_registrations(&self, waiting: &[WaitingRegistration]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "waiting": waiting }));
        }
        self.table(
            [
                "E-MAIL",
                "USERNAME",
                "NAME",
                "REQUESTED",
                "ADDRESS",
                "LINK EXPIRES",
            ],
            waiting.iter().map(|registration| {
                [
                    registration.email.clone(),
                    or_dash(registration.username.as_ref()),
                    or_dash(registration.name.as_ref()),
                    time(&registration.requested_at),
                    registration.ip.to_string(),
                    registration.expires_at.as_ref().map_or_else(dash, time),
                ]
            }),
        )
    }

    pub fn groups(&self, groups: &[Group]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "groups": groups }));
        }
        self.table(
            ["GROUP", "MEMBERS", "CREATED"],
            groups.iter().map(|group| {
                [
                    group.name.clone(),
                    group.members.to_string(),
                    time(&group.created_at),
                ]
            }),
        )
    }

    pub fn invitations(&self, invitations: &[Invitation]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "invitations": invitations }));
        }
        self.table(
            [
                "ID", "STATE", "E-MAIL", "GROUP", "CREATED", "EXPIRES", "USED BY",
            ],
            invitations.iter().map(|invitation| {
                [
                    invitation.id.to_string(),
                    invitation.state.to_owned(),
                    or_dash(invitation.email.as_ref()),
                    or_dash(invitation.group.as_ref()),
                    time(&invitation.created_at),
                    time(&invitation.expires_at),
                    or_dash(invitation.used_by.as_ref()),
                ]
            }),
        )
    }

    pub fn verification_links(
        &self,
        links: &[VerificationLink],
        issuer: &str,
    ) -> Result<(), Failure> {
        let links = links.iter().map(|link| {
            let (requested_at, ip) = link.asked_for.unzip();
            json!({
                "verify_link": format!("{issuer}/verify?token={}", link.token),
                "proves": link.proves,
                "email": link.email,
                "expires_at": link.expires_at,
                "requested_at": requested_at,
                "ip": ip,
            })
        });
        let links: Vec<Value> = links.collect();
        if self.json {
            return self.print_json(&json!({ "links": links }));
        }
        // Not as a table: a link is too long for a column.
        for (at, link) in links.iter().enumerate() {
            if at > 0 {
                print(b"\n")?;
            }
            self.record(link)?;
        }
        Ok(())
    }

    pub fn link_requests(&self, requests: &[LinkRequest]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "requests": requests }));
        }
        self.table(
            [
                "REQUESTED",
                "ADDRESS",
                "USER AGENT",
                "EXPIRES",
                "ENDED",
                "REASON",
            ],
            requests.iter().map(|request| {
                [
                    time(&request.requested_at),
                    request
                        .ip
                        .map_or("operator".to_owned(), |ip| ip.to_string()),
                    or_dash(request.user_agent.as_ref()),
                    request.expires_at.as_ref().map_or_else(dash, time),
                    request.ended_at.as_ref().map_or_else(dash, time),
                    or_dash(request.end_reason.as_ref()),
                ]
            }),
        )
    }

    pub fn sessions(&self, sessions: &[Session]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "sessions": sessions }));
        }
        self.table(
            [
                "ID",
                "DEVICE",
                "ADDRESS",
                "USER AGENT",
                "LAST USED",
                "EXPIRES",
            ],
            sessions.iter().map(|session| {
                [
                    session.id.to_string(),
                    or_dash(session.device_name.as_ref()),
                    session.ip.to_string(),
                    or_dash(session.user_agent.as_ref()),
                    time(&session.last_used_at),
                    time(&session.expires_at),
                ]
            }),
        )
    }

    pub fn clients(&self, clients: &[ClientInfo]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "clients": clients }));
        }
        self.table(
            ["CLIENT ID", "NAME", "KIND", "WHO", "CHANGED"],
            clients.iter().map(|client| {
                let kind = match client.token_endpoint_auth_method {
                    "none" => "public",
                    _ => "with secret",
                };
                [
                    client.client_id.clone(),
                    client.client_name.clone(),
                    kind.to_owned(),
                    client
                        .groups
                        .as_ref()
                        .map_or_else(|| "everybody".to_owned(), |names| listed(names)),
                    time(&client.changed_at),
                ]
            }),
        )
    }

    pub fn known_apps(&self, apps: &[KnownApp]) -> Result<(), Failure> {
        if self.json {
            let apps = apps
                .iter()
                .map(|app| json!({ "id": app.id, "name": app.name, "hint": app.hint }));
            return self.print_json(&json!({ "apps": apps.collect::<Vec<_>>() }));
        }
        self.table(
            ["APP", "NAME", "NOTE"],
            apps.iter()
                .map(|app| [app.id.to_owned(), app.name.to_owned(), app.hint.to_owned()]),
        )
    }

    pub fn keys(&self, keys: &[SigningKeyInfo]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "keys": keys }));
        }
        self.table(
            ["KID", "ALGORITHM", "STATE", "CREATED", "SIGNS FROM"],
            keys.iter().map(|key| {
                [
                    key.kid.clone(),
                    key.algorithm.clone(),
                    key.state.to_owned(),
                    time(&key.created_at),
                    time(&key.signs_from),
                ]
            }),
        )
    }

    pub fn events(&self, events: &[Event]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "events": events }));
        }
        self.table(
            ["ID", "TIME", "EVENT", "DETAIL"],
            events.iter().map(|event| {
                [
                    event.id.to_string(),
                    time(&event.at),
                    event.kind.replace('_', " "),
                    event_detail(event),
                ]
            }),
        )
    }

    /// The messages. The reason of a failure has a line of its own.
    pub fn messages(&self, messages: &[WaitingMessage]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "messages": messages }));
        }
        self.table(
            ["ID", "TO", "ABOUT", "TRIES", "NEXT TRY"],
            messages.iter().map(|message| {
                [
                    message.id.to_string(),
                    or_dash(message.to.as_ref()),
                    message.topic.replace('_', " "),
                    message.attempts.to_string(),
                    message.next_try_at.to_string(),
                ]
            }),
        )?;
        for message in messages {
            if let Some(failure) = &message.failure {
                let line = format!("{}: {}", message.id, printable(failure));
                print(layout::paragraph("", &line).as_bytes())?;
            }
        }
        Ok(())
    }

    /// Prints one event on one line, however long it is. Returns whether standard output is still open.
    pub fn event(&self, event: &Event) -> Result<bool, Failure> {
        let line = match self.json {
            true => serde_json::to_string(event)
                .map_err(|error| Failure::Internal(error.to_string()))?,
            false => format!(
                "{}  {:<26}  {:<24}  {:<15}  {}",
                event.at,
                event.kind.replace('_', " "),
                printable(event.email.as_deref().unwrap_or("-")),
                or_dash(event.ip.as_ref()),
                event.detail.as_ref().map_or_else(String::new, detail_shown),
            ),
        };
        match writeln!(io::stdout(), "{}", line.trim_end()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => Ok(written.map(|()| true)?),
        }
    }

    /// Prints the settings, and the file that was read.
    pub fn settings(&self, loaded: &Loaded) -> Result<(), Failure> {
        if self.json {
            let settings = loaded.settings.iter().map(|setting| {
                let source = setting.source.to_string();
                let value = json!({ "value": setting.value_text, "source": source });
                (setting.name.to_owned(), value)
            });
            return self.print_json(&settings.collect::<serde_json::Map<_, _>>());
        }
        if let Some(file) = &loaded.file {
            let file = printable(&file.display().to_string());
            print(format!("Settings file: {file}\n\n").as_bytes())?;
        }
        self.table(
            ["SETTING", "VALUE", "FROM"],
            loaded.settings.iter().map(|setting| {
                let value = match setting.value_text.as_str() {
                    "" => dash(),
                    text => text.replace(',', ", "),
                };
                let source = match &setting.source {
                    Source::File { line, .. } => format!("line {line}"),
                    source => source.to_string(),
                };
                [setting.name.to_owned(), value, source]
            }),
        )
    }

    pub fn findings(&self, findings: &[Finding]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({
                "problems": count(findings, State::Problem),
                "warnings": count(findings, State::Warning),
                "findings": findings,
            }));
        }
        print(findings_text(findings).as_bytes())
    }

    fn table<const N: usize>(
        &self,
        head: [&str; N],
        rows: impl Iterator<Item = [String; N]>,
    ) -> Result<(), Failure> {
        let rows: Vec<[String; N]> = rows.map(|row| row.map(|cell| printable(&cell))).collect();
        print(layout::table(head, &rows).as_bytes())
    }

    fn print_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::Internal(error.to_string()))?;
        finish(writeln!(io::stdout(), "{text}"))
    }
}

/// What `authd doctor` found, for people: a line for each finding, and below it what to do.
fn findings_text(findings: &[Finding]) -> String {
    let widest = findings.iter().map(|finding| finding.check.len()).max();
    let width = widest.unwrap_or(0).max("CHECK".len());
    let line = |state: &str, check: &str| format!("{state:7}  {check:width$}  ");
    let mut text = line("STATE", "CHECK") + "FOUND\n";
    for finding in findings {
        let first = line(finding.state.name(), finding.check);
        text += &layout::paragraph(&first, &printable_lines(&finding.found));
        if let Some(next) = &finding.next {
            text += &layout::paragraph("      -> ", &printable_lines(next));
        }
    }
    text
}

/// The account of an event, the client's address, and the detail.
fn event_detail(event: &Event) -> String {
    let account = event.email.clone();
    let address = event.ip.as_ref().map(|ip| format!("from {ip}"));
    let detail = event.detail.as_ref().map(detail_shown);
    let parts = [account, address, detail].into_iter().flatten();
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] => dash(),
        parts => parts.join(", "),
    }
}

/// A time in a table: with a space, at which it can be wrapped.
fn time(at: &Timestamp) -> String {
    at.to_string().replace('T', " ")
}

fn dash() -> String {
    "-".to_owned()
}

/// Writes to standard output.
pub(super) fn print(text: &[u8]) -> Result<(), Failure> {
    finish(io::stdout().write_all(text))
}

/// It is no failure if the reader closes standard output early (`| head`).
fn finish(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// `cause: wrong password, blocked until: …`
fn detail_shown(detail: &Value) -> String {
    let Some(fields) = detail.as_object() else {
        return shown(detail);
    };
    let shown_fields = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let value = match value {
                // A nested value, such as a device.
                Value::Object(_) => format!("({})", detail_shown(value)),
                Value::String(word) if name == "reason" => word.replace('_', " "),
                value => shown(value),
            };
            format!("{}: {value}", name.replace('_', " "))
        });
    shown_fields.collect::<Vec<_>>().join(", ")
}

fn listed(values: &[impl Display]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn or_dash(value: Option<&impl Display>) -> String {
    value.map_or_else(dash, ToString::to_string)
}

/// [`printable`] for a text of several lines.
fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

/// The text with U+FFFD for each character that moves the cursor, changes the direction of writing or is invisible. So a
/// name cannot change how a terminal shows the rest of its row.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if changes_display(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Control characters, line and paragraph separators, and the format characters of Unicode's bidirectional algorithm
/// (UAX #9 §2) and of no width.
fn changes_display(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_changes_what_a_terminal_shows_of_its_row() {
        for text in [
            "a\u{1b}[2Jb",
            "a\u{9b}31mb",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200b}b",
            "a\u{2028}b",
        ] {
            let shown = printable(text);
            assert!(
                shown.starts_with("a\u{fffd}") && shown.ends_with('b'),
                "{shown:?}"
            );
        }
        for text in ["Zoë's 📱", "아이폰", "עברית"] {
            assert_eq!(printable(text), text);
        }
    }
}
