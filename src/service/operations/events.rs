//! What an operator reads of events.

use crate::service::event::{self, Event};
use crate::service::{Authd, Error, Selector, account};

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Of this account only.
    pub account: Option<Selector>,
    /// Older than this event.
    pub before: Option<i64>,
    /// At most this many, newest first; 1 to [`EventQuery::MOST`].
    pub limit: u32,
}

impl EventQuery {
    /// The most events that one question answers.
    pub const MOST: u32 = event::MOST_LISTED;
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
            Ok(event::list_after(tx, account, after, EventQuery::MOST)?)
        })
    }

    /// Lists what happened, newest first.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if the account that is asked about does not exist.
    pub fn events(&self, query: &EventQuery) -> Result<Vec<Event>, Error> {
        let limit = query.limit.clamp(1, EventQuery::MOST);
        let before = query.before.unwrap_or(i64::MAX);
        self.store.read(|tx| {
            let account = match &query.account {
                Some(selector) => Some(account::select(tx, selector)?.key),
                None => None,
            };
            Ok(event::list(tx, account, before, limit)?)
        })
    }
}
