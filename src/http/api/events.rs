//! What happened to an account, for its owner.

use std::ops::ControlFlow;

use schemars::JsonSchema;
use serde::Deserialize;

use super::limit::{DEFAULT_LIMIT, Limit};
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::Query;
use crate::http::response::Response;
use crate::service::{Actor, Event, EventQuery};

/// The most bytes of events on a page. The server keeps an answer until its client has read it, and 1,000 events could have
/// more than a megabyte.
const PAGE_BYTES: usize = 64 * 1024;

/// Which page of the events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct EventPage {
    /// Events older than the one with this id: the last of the page before.
    #[serde(default)]
    #[schemars(with = "i64")]
    before: Option<EventNumber>,
    /// How many events at most. A page also ends at 64 KiB, so it can have fewer.
    #[serde(default)]
    #[schemars(
        with = "u32",
        range(min = 1, max = EventQuery::MOST),
        extend("default" = DEFAULT_LIMIT)
    )]
    limit: Limit<{ EventQuery::MOST }>,
}

/// The id of an event.
#[derive(Deserialize)]
struct EventNumber(i64);

/// A page of events.
#[derive(JsonSchema)]
#[allow(
    dead_code,
    reason = "for the OpenAPI document; `list` writes it event by event"
)]
pub(in crate::http) struct EventList {
    /// Newest first. For the next page, ask with `before` set to the last one's `id`. After the last page comes an empty
    /// one.
    events: Vec<Event>,
}

pub(in crate::http) fn list(
    call: &Call<'_>,
    actor: &Actor,
    Query(page): Query<EventPage>,
) -> Result<Response, HttpError> {
    let before = page.before.map(|EventNumber(id)| id);
    // As `EventList` is written, in one buffer that does not grow: an event is dropped when its text is in it.
    let mut body = Vec::with_capacity(2 * PAGE_BYTES);
    body.extend_from_slice(b"{\"events\":[");
    let mut is_first = true;
    call.authd
        .own_events(actor, before, page.limit.0, |event| {
            let end = body.len();
            if !is_first {
                body.push(b',');
            }
            let is_written = serde_json::to_writer(&mut body, event).is_ok();
            if !is_written || (body.len() > PAGE_BYTES && !is_first) {
                body.truncate(end);
                return ControlFlow::Break(());
            }
            is_first = false;
            ControlFlow::Continue(())
        })?;
    body.extend_from_slice(b"]}\n");
    Ok(Response::json_text(200, body))
}
