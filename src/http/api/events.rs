//! What happened to an account, for its owner.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::Query;
use crate::http::response::Response;
use crate::service::{Actor, Event, EventQuery};

/// Events on a page when the client does not say how many.
const DEFAULT_LIMIT: u32 = 50;

/// Which page of the events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct EventPage {
    /// Events older than the one with this id: the last of the page before.
    #[serde(default)]
    #[schemars(with = "i64")]
    before: Option<EventNumber>,
    /// How many events at most.
    #[serde(default)]
    #[schemars(
        with = "u32",
        range(min = 1, max = EventQuery::MOST),
        extend("default" = DEFAULT_LIMIT)
    )]
    limit: Limit,
}

/// The id of an event.
#[derive(Deserialize)]
struct EventNumber(i64);

/// A number of events.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
struct Limit(u32);

impl Default for Limit {
    fn default() -> Limit {
        Limit(DEFAULT_LIMIT)
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(number: u32) -> Result<Limit, String> {
        match number {
            1..=EventQuery::MOST => Ok(Limit(number)),
            _ => Err(format!("`limit` must be 1 to {}", EventQuery::MOST)),
        }
    }
}

/// A page of events.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct EventList {
    /// Newest first. For the next page, ask with `before` set to the last one's `id`.
    events: Vec<Event>,
}

pub(in crate::http) fn list(
    call: &Call<'_>,
    actor: &Actor,
    Query(page): Query<EventPage>,
) -> Result<Response, HttpError> {
    let before = page.before.map(|EventNumber(id)| id);
    let events = call.authd.own_events(actor, before, page.limit.0)?;
    Ok(Response::json(200, &EventList { events }))
}
