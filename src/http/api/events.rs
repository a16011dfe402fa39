//! Events over HTTP: what happened to an account, for its owner.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::api::problem::Problem;
use crate::http::response::Response;
use crate::http::route::Call;
use crate::service::{Actor, Event, EventQuery};

/// Events that are listed where nobody says how many.
const USUAL: u32 = 50;

/// What happened.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct EventList {
    /// Newest first; ask with `before` set to the last one's `id` for more.
    events: Vec<Event>,
}

pub(in crate::http) fn list(call: &Call<'_>, actor: &Actor) -> Result<Response, Problem> {
    let (before, limit) = read_page(call.request.query.as_deref().unwrap_or_default())?;
    let events = call.authd.own_events(actor, before, limit)?;
    Ok(Response::json(200, &EventList { events }))
}

/// Reads `before=ID&limit=N`, each at most once and in any order.
fn read_page(query: &str) -> Result<(Option<i64>, u32), Problem> {
    let (mut before, mut limit) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let known = match pair.split_once('=') {
            Some(("before", id)) if before.is_none() => {
                before = id.parse().ok();
                before.is_some()
            }
            Some(("limit", number)) if limit.is_none() => {
                limit = number
                    .parse()
                    .ok()
                    .filter(|n| (1..=EventQuery::MOST).contains(n));
                limit.is_some()
            }
            _ => false,
        };
        if !known {
            return Err(Problem::invalid_request(
                "The query may have `before` (the id of an event) and `limit` (1 to 1,000), each once.",
            ));
        }
    }
    Ok((before, limit.unwrap_or(USUAL)))
}
