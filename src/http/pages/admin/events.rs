//! What happened, over all accounts.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{PAGE, next_page};
use crate::http::error::HttpError;
use crate::http::input::Query;
use crate::http::pages::owner::activity::Texts;
use crate::http::pages::view::FieldError;
use crate::http::pages::view::activity::Event as ShownEvent;
use crate::http::pages::view::admin::operations::Events;
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{Browser, Code, Error, Event, EventPage, EventQuery, Selector};

const EVENTS: &str = "/admin/events";

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Filters {
    /// A login or an id.
    #[serde(default)]
    account: String,
    #[serde(default)]
    kind: String,
    before: Option<i64>,
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    _: &Browser,
    Query(filters): Query<Filters>,
) -> Result<Response, HttpError> {
    let account = filters.account.trim();
    let kind = filters.kind.as_str();
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let found = visitor.call.authd.event_page(&EventQuery {
        account: given(account).map(|account| Selector::read(&account)),
        kind: given(kind),
        ip: None,
        before: filters.before,
        limit: PAGE,
    });
    let none = EventPage {
        events: Vec::new(),
        next: None,
    };
    let (page, errors) = match found {
        Ok(page) => (page, Vec::new()),
        Err(Error::No(Code::NotFound, _)) if !account.is_empty() => {
            let text = visitor.language.error_no_such_account();
            (none, vec![FieldError::new("account", text)])
        }
        Err(error) => return Err(error.into()),
    };
    let texts: Vec<(Texts, Option<String>)> = page.events.iter().map(texts).collect();
    let chosen = [("account", account), ("kind", kind)];
    let first = match (account, kind) {
        ("", "") => EVENTS.to_owned(),
        ("", kind) => next_page(EVENTS, &[], ("kind", kind)),
        (account, kind) => next_page(EVENTS, &[("kind", kind)], ("account", account)),
    };
    let older = page.next;
    let older = older.map(|before| next_page(EVENTS, &chosen, ("before", &before.to_string())));
    Ok(visitor.show(&Events {
        shell: &visitor.shell(),
        account,
        kind,
        events: std::iter::zip(&texts, &page.events)
            .map(|(texts, event)| shown(texts, event))
            .collect(),
        first_page: filters.before.map(|_| first.as_str()),
        older: older.as_deref(),
        errors,
    }))
}

fn texts(event: &Event) -> (Texts, Option<String>) {
    (Texts::of(event), event.account.map(|id| id.to_string()))
}

fn shown<'a>((texts, id): &'a (Texts, Option<String>), event: &'a Event) -> ShownEvent<'a> {
    let account = match (&event.email, id) {
        (Some(email), Some(id)) => Some((email.as_str(), id.as_str())),
        _ => None,
    };
    ShownEvent {
        account,
        ..texts.show(event)
    }
}
