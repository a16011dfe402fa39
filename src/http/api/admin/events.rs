//! Events of all accounts.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Limit;
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::Query;
use crate::http::response::Response;
use crate::service::{Administration, EventQuery, Selector};

/// Which events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct EventListQuery {
    /// Only events of this account: its id, e-mail address or username.
    #[serde(default)]
    #[schemars(with = "String")]
    account: Option<String>,
    /// Only events of this kind, such as `sign_in_failed`.
    #[serde(default)]
    #[schemars(with = "String")]
    kind: Option<String>,
    /// Only events from this IP address.
    #[serde(default)]
    #[schemars(with = "String")]
    ip: Option<IpAddr>,
    /// `next` of the page before: events older than the one with this id.
    #[serde(default)]
    #[schemars(with = "i64")]
    before: Option<EventNumber>,
    /// How many events at most. A page also ends at 256 KiB.
    #[serde(default)]
    #[schemars(schema_with = "super::describe_limit")]
    limit: Limit,
}

/// The id of an event.
#[derive(Deserialize)]
struct EventNumber(i64);

pub(in crate::http) fn list(
    call: &Call<'_>,
    _: &Administration<'_>,
    Query(query): Query<EventListQuery>,
) -> Result<Response, HttpError> {
    let page = call.authd.event_page(&EventQuery {
        account: query.account.as_deref().map(Selector::read),
        kind: query.kind,
        ip: query.ip,
        before: query.before.map(|EventNumber(id)| id),
        limit: query.limit.0,
    })?;
    Ok(Response::json(200, &page))
}
