//! What an operator and an administrator read of events.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::service::event::{self, Event, Kind, Search};
use crate::service::{Authd, Error, Selector, account};

/// Bytes of events on one page, as far as they can be told before they are written out.
const MOST_BYTES: usize = 256 * 1024;

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Of this account only.
    pub account: Option<Selector>,
    /// Of this kind only, such as `sign_in_failed`.
    pub kind: Option<String>,
    /// From this address only.
    pub ip: Option<IpAddr>,
    /// Older than this event.
    pub before: Option<i64>,
    /// At most this many, newest first; 1 to [`EventQuery::MOST`].
    pub limit: u32,
}

impl EventQuery {
    /// The most events that one question answers.
    pub const MOST: u32 = event::MOST_LISTED;
}

/// A page of events.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "AdministrationEventList")]
pub struct EventPage {
    /// Newest first.
    pub events: Vec<Event>,
    /// What to ask with as `before` for the next page; absent on the last one. A search by kind or address can have a next
    /// page although this one is not full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

impl Authd {
    /// What happened after the event `after`, oldest first, at most [`EventQuery::MOST`], for an operator who looks on.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if the account that is asked about does not exist.
    pub fn events_after(
        &self,
        account: Option<&Selector>,
        after: i64,
    ) -> Result<Vec<Event>, Error> {
        self.store.read(|tx| {
            let account = match account {
                Some(selector) => Some(account::select(tx, selector)?.key),
                None => None,
            };
            let mut events = event::list_after(tx, account, after, EventQuery::MOST)?;
            event::name_administrators(tx, &mut events)?;
            Ok(events)
        })
    }

    /// Lists what happened, newest first: a page without its `next`.
    ///
    /// # Errors
    /// Those of [`Authd::event_page`].
    pub fn events(&self, query: &EventQuery) -> Result<Vec<Event>, Error> {
        Ok(self.event_page(query)?.events)
    }

    /// Lists what happened, newest first, one page of at most 256 KiB.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if the account that is asked about does not exist;
    /// [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) for a kind that does not exist.
    pub fn event_page(&self, query: &EventQuery) -> Result<EventPage, Error> {
        let limit = query.limit.clamp(1, EventQuery::MOST);
        let before = query.before.unwrap_or(i64::MAX);
        let kind = query.kind.as_deref();
        if kind.is_some_and(|name| !Kind::is_known(name)) {
            return Err(Error::invalid(
                "There is no such kind of event. docs/administration.md lists them.",
            ));
        }
        self.store.read(|tx| {
            let account = match &query.account {
                Some(selector) => Some(account::select(tx, selector)?.key),
                None => None,
            };
            let search = Search {
                account,
                kind,
                ip: query.ip,
            };
            let (events, next) = event::search(tx, search, before, limit)?;
            let mut page = bounded(events, next);
            event::name_administrators(tx, &mut page.events)?;
            Ok(page)
        })
    }
}

/// A page of the first of these events, as many as fit.
fn bounded(mut events: Vec<Event>, next: Option<i64>) -> EventPage {
    let mut bytes = 0;
    let fitting = events.iter().take_while(|event| {
        bytes += size_of(event);
        bytes <= MOST_BYTES
    });
    // One at least, or no page would ever follow.
    let fitting = fitting.count().max(1);
    if fitting >= events.len() {
        return EventPage { events, next };
    }
    events.truncate(fitting);
    let next = events.last().map(|event| event.id);
    EventPage { events, next }
}

/// About how long an event is as JSON, in bytes.
fn size_of(event: &Event) -> usize {
    /// Its numbers, its names and its members.
    const FIXED: usize = 400;
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let detail = event.detail.as_ref().map(|detail| detail.to_string().len());
    FIXED + text(&event.email) + text(&event.user_agent) + detail.unwrap_or(0)
}
