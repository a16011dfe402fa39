//! What happened to the account of the reader.

use std::ops::ControlFlow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::sessions::device;
use crate::clock::Timestamp;
use crate::http::error::HttpError;
use crate::http::input::Query;
use crate::http::pages::view::activity::{
    Activity, Administrator, Event as ShownEvent, Finding, Party, Theft,
};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{Browser, Event};

const ACTIVITY: &str = "/account/activity";

/// Events on one page.
const PAGE: usize = 25;

/// How long a detected theft stands above the list.
const THEFT_SHOWN: Duration = Duration::from_secs(28 * 24 * 60 * 60);

/// How the service calls the reuse of a refresh token.
const REUSED: &str = "refresh_token_reused";

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Before {
    /// Only events before the one with this number.
    before: Option<i64>,
}

/// An event with the texts that its view borrows.
pub(in crate::http::pages) struct Texts {
    address: Option<String>,
}

impl Texts {
    pub(in crate::http::pages) fn of(event: &Event) -> Texts {
        Texts {
            address: event.ip.map(|ip| ip.to_string()),
        }
    }

    pub(in crate::http::pages) fn show<'a>(&'a self, event: &'a Event) -> ShownEvent<'a> {
        let detail = |name: &str| event.detail.as_ref()?.get(name)?.as_str();
        let by = event.detail.as_ref().and_then(|detail| detail.get("by"));
        let administrator = match by {
            Some(Value::String(by)) if by == "operator" => Some(Administrator::Operator),
            Some(Value::Object(by)) => match by.get("email").and_then(Value::as_str) {
                Some(email) => Some(Administrator::Named(email)),
                None => Some(Administrator::Unnamed),
            },
            Some(Value::String(by)) if by == "administrator" => Some(Administrator::Unnamed),
            _ => None,
        };
        ShownEvent {
            at: Some(event.at),
            kind: &event.kind,
            account: None,
            device: event
                .user_agent
                .as_deref()
                .map(|agent| device(None, Some(agent))),
            address: self.address.as_deref(),
            by: administrator,
            reason: detail("reason")
                .or_else(|| detail("cause"))
                .or_else(|| detail("by")),
            group: detail("group"),
            app: detail("app"),
            sessions: event
                .detail
                .as_ref()
                .and_then(|detail| detail.get("sessions")?.as_u64()),
            from: detail("from"),
            to: detail("to"),
        }
    }
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Query(page): Query<Before>,
) -> Result<Response, HttpError> {
    let authd = visitor.call.authd;
    // One more than is shown, to know whether there are older ones.
    let limit = u32::try_from(PAGE + 1).unwrap_or(u32::MAX);
    let mut events = Vec::new();
    authd.own_events(&browser.actor, page.before, limit, |event| {
        events.push(event.clone());
        ControlFlow::Continue(())
    })?;
    let has_older = events.len() > PAGE;
    events.truncate(PAGE);
    let older = events
        .last()
        .filter(|_| has_older)
        .map(|event| format!("{ACTIVITY}?before={}", event.id));
    let texts: Vec<Texts> = events.iter().map(Texts::of).collect();
    let since = authd.now().minus(THEFT_SHOWN);
    let reused = match page.before {
        None => authd.latest_own_event(&browser.actor, REUSED, since)?,
        Some(_) => None,
    };
    let theft_texts = reused.as_ref().and_then(TheftTexts::of);
    Ok(visitor.show(&Activity {
        shell: &visitor.shell(),
        theft: theft_texts.as_ref().map(TheftTexts::show),
        events: std::iter::zip(&texts, &events)
            .map(|(texts, event)| texts.show(event))
            .collect(),
        first_page: page.before.map(|_| ACTIVITY),
        older: older.as_deref(),
    }))
}

/// A detected theft: the device that refreshed last, and the one that used the same token again.
struct TheftTexts {
    is_copied: bool,
    first: (Option<String>, String, Timestamp),
    second: (Option<String>, String, Timestamp),
}

impl TheftTexts {
    fn of(event: &Event) -> Option<TheftTexts> {
        let detail = event.detail.as_ref()?;
        let rotated = detail.get("rotated")?;
        let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        let interval = detail.get("seconds_since_rotation")?.as_u64()?;
        Some(TheftTexts {
            is_copied: text(detail, "finding").is_none_or(|finding| !finding.contains("late")),
            first: (
                text(rotated, "user_agent"),
                text(rotated, "ip")?,
                event.at.minus(Duration::from_secs(interval)),
            ),
            second: (event.user_agent.clone(), event.ip?.to_string(), event.at),
        })
    }

    fn show(&self) -> Theft<'_> {
        Theft {
            finding: match self.is_copied {
                true => Finding::Copied,
                false => Finding::LateOrCopied,
            },
            session_name: None,
            first: party(&self.first),
            second: party(&self.second),
        }
    }
}

fn party((agent, address, at): &(Option<String>, String, Timestamp)) -> Party<'_> {
    Party {
        device: device(None, agent.as_deref()),
        address,
        at: *at,
    }
}
