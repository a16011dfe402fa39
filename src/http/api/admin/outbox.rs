//! Messages that wait to leave.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Limit, PathMessage};
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::Query;
use crate::http::response::Response;
use crate::service::{Administration, WaitingMessage};

/// Which messages.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct OutboxQuery {
    /// `next` of the page before.
    #[serde(default)]
    #[schemars(with = "i64")]
    after: Option<MessageNumber>,
    /// How many messages at most.
    #[serde(default)]
    #[schemars(schema_with = "super::describe_limit")]
    limit: Limit,
}

/// The id of a message.
#[derive(Deserialize)]
struct MessageNumber(i64);

/// A page of messages.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct Outbox {
    /// The oldest first.
    messages: Vec<WaitingMessage>,
    /// What to ask with as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

pub(in crate::http) fn list(
    call: &Call<'_>,
    _: &Administration<'_>,
    Query(query): Query<OutboxQuery>,
) -> Result<Response, HttpError> {
    let after = query.after.map_or(0, |MessageNumber(id)| id);
    let messages = call.authd.outbox(after, query.limit.0)?;
    let is_full = messages.len() == query.limit.0 as usize;
    let next = messages.last().filter(|_| is_full).map(|last| last.id);
    Ok(Response::json(200, &Outbox { messages, next }))
}

pub(in crate::http) fn retry(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathMessage(id): PathMessage,
) -> Result<Response, HttpError> {
    administration.retry_message(id)?;
    Ok(Response::new(202))
}

pub(in crate::http) fn delete(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathMessage(id): PathMessage,
) -> Result<Response, HttpError> {
    administration.delete_message(id)?;
    Ok(Response::new(204))
}
