//! Answers on standard output: tables, or JSON with `--json`.
//!
//! The JSON is the service's own value, so it has everything that a table has. In a table, characters that would change
//! what a terminal shows are replaced in text from outside.

use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

use super::Failure;
use super::doctor::finding::{Finding, State, count};
use crate::config::Setting;
use crate::service::{
    Account, Event, Failures, Group, Invitation, LinkRequest, Session, SigningKeyInfo,
    VerificationLink, WaitingRegistration,
};

/// How to answer.
pub(super) struct Output {
    pub json: bool,
}

impl Output {
    /// One thing: its fields, one a line.
    pub fn record(&self, value: &Value) -> Result<(), Failure> {
        if self.json {
            return self.print_json(value);
        }
        let mut table = plain_table();
        for (name, value) in value.as_object().into_iter().flatten() {
            table.add_row([name.replace('_', " "), shown(value)]);
        }
        self.print(table)
    }

    pub fn accounts(&self, accounts: &[Account]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "accounts": accounts }));
        }
        self.table(
            [
                "E-MAIL", "USERNAME", "NAME", "ROLE", "STATE", "CREATED", "ID",
            ],
            accounts.iter().map(|account| {
                [
                    account.email.clone(),
                    or_dash(account.username.as_ref()),
                    or_dash(account.name.as_ref()),
                    (if account.admin { "admin" } else { "-" }).to_owned(),
                    (if account.disabled_at.is_some() {
                        "disabled"
                    } else {
                        "active"
                    })
                    .to_owned(),
                    account.created_at.to_string(),
                    account.id.to_string(),
                ]
            }),
        )
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
                    account.last_at.to_string(),
                    or_dash(account.locked_until.as_ref()),
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
                    registration.requested_at.to_string(),
                    registration.ip.to_string(),
                    or_dash(registration.expires_at.as_ref()),
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
                    group.created_at.to_string(),
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
                    invitation.created_at.to_string(),
                    invitation.expires_at.to_string(),
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
        // One below the other: a link in a column of a table is broken by the terminal.
        for link in &links {
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
                    request.requested_at.to_string(),
                    request
                        .ip
                        .map_or("operator".to_owned(), |ip| ip.to_string()),
                    or_dash(request.user_agent.as_ref()),
                    or_dash(request.expires_at.as_ref()),
                    or_dash(request.ended_at.as_ref()),
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
                    session.last_used_at.to_string(),
                    session.expires_at.to_string(),
                ]
            }),
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
                    key.created_at.to_string(),
                    key.signs_from.to_string(),
                ]
            }),
        )
    }

    pub fn events(&self, events: &[Event]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "events": events }));
        }
        self.table(
            ["ID", "TIME", "EVENT", "ACCOUNT", "ADDRESS", "DETAIL"],
            events.iter().map(|event| {
                [
                    event.id.to_string(),
                    event.at.to_string(),
                    event.kind.replace('_', " "),
                    or_dash(event.email.as_ref()),
                    or_dash(event.ip.as_ref()),
                    event
                        .detail
                        .as_ref()
                        .map_or_else(|| "-".to_owned(), detail_shown),
                ]
            }),
        )
    }

    /// Prints one event on a line of its own. Returns whether standard output is still open.
    pub fn event(&self, event: &Event) -> Result<bool, Failure> {
        let line = match self.json {
            true => serde_json::to_string(event)
                .map_err(|error| Failure::Internal(error.to_string()))?,
            false => format!(
                "{}  {:<26}  {:<24}  {:<15}  {}",
                event.at,
                event.kind.replace('_', " "),
                harmless(event.email.as_deref().unwrap_or("-")),
                or_dash(event.ip.as_ref()),
                event.detail.as_ref().map_or_else(String::new, detail_shown),
            ),
        };
        match writeln!(io::stdout(), "{}", line.trim_end()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => Ok(written.map(|()| true)?),
        }
    }

    pub fn settings(&self, settings: &[Setting]) -> Result<(), Failure> {
        if self.json {
            let settings: serde_json::Map<String, Value> = settings
                .iter()
                .map(|setting| {
                    let source = setting.source.to_string();
                    let value = json!({ "value": setting.value_text, "source": source });
                    (setting.name.to_owned(), value)
                })
                .collect();
            return self.print_json(&settings);
        }
        self.table(
            ["SETTING", "VALUE", "FROM"],
            settings.iter().map(|setting| {
                [
                    setting.name.to_owned(),
                    setting.value_text.clone(),
                    setting.source.to_string(),
                ]
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
        let rows = findings.iter().flat_map(|finding| {
            let row =
                |state: &str, check: &str, text: &str| [state, check, text].map(str::to_owned);
            let mut found = finding.found.lines();
            let first = found.next().unwrap_or_default();
            let rest = found.map(move |line| row("", "", line));
            let next = finding.next.iter().flat_map(|next| next.lines());
            let next = next.map(move |line| row("", "", &format!("-> {line}")));
            let first = row(finding.state.name(), finding.check, first);
            [first].into_iter().chain(rest).chain(next)
        });
        self.table(["", "CHECK", "FOUND"], rows)
    }

    fn table<const N: usize>(
        &self,
        head: [&str; N],
        rows: impl Iterator<Item = [String; N]>,
    ) -> Result<(), Failure> {
        let mut table = plain_table();
        table.set_header(head);
        for row in rows {
            table.add_row(row.map(|cell| harmless(&cell)));
        }
        self.print(table)
    }

    fn print(&self, table: Table) -> Result<(), Failure> {
        finish(writeln!(io::stdout(), "{}", table.trim_fmt()))
    }

    fn print_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::Internal(error.to_string()))?;
        finish(writeln!(io::stdout(), "{text}"))
    }
}

/// Writes to standard output.
pub(super) fn print(text: &[u8]) -> Result<(), Failure> {
    finish(io::stdout().write_all(text))
}

/// A reader that has seen enough (`| head`) is no failure.
fn finish(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => harmless(text),
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
    let told = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let value = match value {
                // What is nested, as a device is, holds together.
                Value::Object(_) => format!("({})", detail_shown(value)),
                Value::String(word) if name == "reason" => word.replace('_', " "),
                value => shown(value),
            };
            format!("{}: {value}", name.replace('_', " "))
        });
    told.collect::<Vec<_>>().join(", ")
}

fn listed(values: &[impl Display]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn or_dash(value: Option<&impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// The text without characters that move the cursor, change the direction of writing or are invisible. So no name changes
/// what a terminal shows of the rest of its row.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if is_treacherous(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Control characters, line and paragraph separators, and the format characters of Unicode's bidirectional algorithm
/// (UAX #9 §2), with those of no width.
fn is_treacherous(c: char) -> bool {
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
            let shown = harmless(text);
            assert!(
                shown.starts_with("a\u{fffd}") && shown.ends_with('b'),
                "{shown:?}"
            );
        }
        for text in ["Zoë's 📱", "아이폰", "עברית"] {
            assert_eq!(harmless(text), text);
        }
    }
}
