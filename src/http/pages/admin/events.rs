//! Events of all accounts, with filters.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{LIMIT, address};
use crate::http::error::HttpError;
use crate::http::input::Query;
use crate::http::pages::owner::activity::Texts;
use crate::http::pages::view::FieldError;
use crate::http::pages::view::activity::Event as ShownEvent;
use crate::http::pages::view::admin::operations::Events;
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{
    Administration, Code, EVENT_KINDS, Error, Event, EventPage, EventQuery, Selector,
};

const EVENTS: &str = "/admin/events";

/// The filters; an empty one filters nothing.
#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Filters {
    /// The id, the e-mail address or the username of an account.
    #[serde(default)]
    account: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    ip: String,
    /// Only events before the one with this number.
    before: Option<i64>,
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Query(filters): Query<Filters>,
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let refused = |field, text: &'static str| {
        let errors = vec![FieldError::new(field, text)];
        Ok(show(visitor, &filters, EventPage::default(), errors))
    };
    let ip = match filters.ip.trim() {
        "" => None,
        text => match text.parse::<IpAddr>() {
            Ok(ip) => Some(ip),
            Err(_) => return refused("ip", t.error_ip()),
        },
    };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let found = administration.authd().event_page(&EventQuery {
        account: given(filters.account.trim()).map(|login| Selector::read(&login)),
        kind: given(&filters.kind),
        ip,
        before: filters.before,
        limit: LIMIT,
    });
    match found {
        Ok(page) => Ok(show(visitor, &filters, page, Vec::new())),
        Err(Error::No(Code::NotFound, _)) => refused("account", t.error_no_such_account()),
        Err(Error::No(Code::InvalidRequest, _)) => refused("kind", t.error_event_kind()),
        Err(error) => Err(error.into()),
    }
}

fn show(
    visitor: &Visitor<'_>,
    filters: &Filters,
    page: EventPage,
    errors: Vec<FieldError>,
) -> Response {
    let pairs = [
        ("account", filters.account.as_str()),
        ("kind", filters.kind.as_str()),
        ("ip", filters.ip.as_str()),
    ];
    let first = address(EVENTS, &pairs);
    let older = page.next.map(|before| {
        let [account, kind, ip] = pairs;
        let before = before.to_string();
        address(EVENTS, &[account, kind, ip, ("before", &before)])
    });
    let texts: Vec<AdminTexts> = page.events.iter().map(AdminTexts::of).collect();
    visitor.show(&Events {
        shell: &visitor.shell(),
        account: &filters.account,
        kind: &filters.kind,
        ip: &filters.ip,
        all_kinds: EVENT_KINDS,
        events: std::iter::zip(&texts, &page.events)
            .map(|(texts, event)| texts.show(event))
            .collect(),
        first_page: filters.before.map(|_| first.as_str()),
        older: older.as_deref(),
        errors,
    })
}

/// The texts that the view of an event borrows.
struct AdminTexts {
    common: Texts,
    account: Option<String>,
}

impl AdminTexts {
    fn of(event: &Event) -> AdminTexts {
        AdminTexts {
            common: Texts::of(event),
            account: event.account.map(|id| id.to_string()),
        }
    }

    fn show<'a>(&'a self, event: &'a Event) -> ShownEvent<'a> {
        ShownEvent {
            account: event.email.as_deref().zip(self.account.as_deref()),
            ..self.common.show(event)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pages::view::Language;
    use crate::http::pages::view::activity::words_for;

    #[test]
    fn every_kind_of_event_has_words_in_every_language() {
        for kind in EVENT_KINDS {
            for t in [Language::English, Language::German] {
                assert!(words_for(kind, t).is_some(), "{kind}");
            }
        }
    }
}
