//! Messages that wait to leave.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{LIMIT, PAGE};
use crate::http::api::admin::PathMessage;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::view::Notice;
use crate::http::pages::view::admin::operations::{DeleteMessage, Outbox, OutboxRow};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{Administration, Code, Error, WaitingMessage};

const OUTBOX: &str = "/admin/outbox";

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct After {
    /// The number of the last message on the page before.
    #[serde(default)]
    after: i64,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct MessageForm {
    #[serde(default)]
    message: String,
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Query(After { after }): Query<After>,
) -> Result<Response, HttpError> {
    let authd = administration.authd();
    // One more than is shown, to know whether there are further ones.
    let mut messages = authd.outbox(after, LIMIT + 1)?;
    let has_next = messages.len() > PAGE;
    messages.truncate(PAGE);
    let last = messages.last().filter(|_| has_next);
    let next = last.map(|message| format!("{OUTBOX}?after={}", message.id));
    let ids: Vec<String> = messages.iter().map(|it| it.id.to_string()).collect();
    Ok(visitor.show(&Outbox {
        shell: &visitor.shell(),
        messages: std::iter::zip(&ids, &messages)
            .map(|(id, message)| row(id, message))
            .collect(),
        sends_mail: authd.policy().sends_mail,
        first_page: (after > 0).then_some(OUTBOX),
        next_page: next.as_deref(),
    }))
}

fn row<'a>(id: &'a str, message: &'a WaitingMessage) -> OutboxRow<'a> {
    OutboxRow {
        id,
        topic: &message.topic,
        to: message.to.as_deref(),
        created_at: message.created_at,
        attempts: message.attempts.into(),
        due_at: message.next_try_at,
        failure: message.failure.as_deref(),
    }
}

pub(in crate::http) fn send_again(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Form(form): Form<MessageForm>,
) -> Result<Response, HttpError> {
    let Ok(id) = form.message.parse() else {
        return Ok(visitor.go_with(OUTBOX, Notice::MessageGone));
    };
    finish(
        visitor,
        administration.retry_message(id),
        Notice::MessageDue,
    )
}

pub(in crate::http) fn show_delete(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathMessage(id): PathMessage,
) -> Result<Response, HttpError> {
    let messages = administration.authd().outbox(id.saturating_sub(1), 1)?;
    match messages.first().filter(|message| message.id == id) {
        Some(message) => Ok(visitor.show(&DeleteMessage {
            shell: &visitor.shell(),
            message: row(&id.to_string(), message),
        })),
        None => Ok(visitor.go_with(OUTBOX, Notice::MessageGone)),
    }
}

pub(in crate::http) fn delete(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathMessage(id): PathMessage,
) -> Result<Response, HttpError> {
    finish(
        visitor,
        administration.delete_message(id),
        Notice::MessageDeleted,
    )
}

/// Goes back to the list. A message that is gone was sent meanwhile, which is no error.
fn finish(
    visitor: &Visitor<'_>,
    done: Result<(), Error>,
    notice: Notice,
) -> Result<Response, HttpError> {
    match done {
        Ok(()) => Ok(visitor.go_with(OUTBOX, notice)),
        Err(Error::No(Code::NotFound, _)) => Ok(visitor.go_with(OUTBOX, Notice::MessageGone)),
        Err(error) => Err(error.into()),
    }
}
