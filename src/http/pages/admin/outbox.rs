//! Messages that wait to leave.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{PAGE, administration, next_page};
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::view::Notice;
use crate::http::pages::view::admin::operations::{Outbox, OutboxRow};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::Browser;

const OUTBOX: &str = "/admin/outbox";

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Page {
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
    _: &Browser,
    Query(page): Query<Page>,
) -> Result<Response, HttpError> {
    let authd = visitor.call.authd;
    // One more than is shown, to know whether there are later ones.
    let mut messages = authd.outbox(page.after, PAGE + 1)?;
    let has_more = messages.len() > PAGE as usize;
    messages.truncate(PAGE as usize);
    let ids: Vec<String> = messages.iter().map(|one| one.id.to_string()).collect();
    let next = ids.last().filter(|_| has_more);
    let next = next.map(|id| next_page(OUTBOX, &[], ("after", id)));
    let rows = std::iter::zip(&ids, &messages).map(|(id, message)| OutboxRow {
        id,
        topic: &message.topic,
        to: message.to.as_deref(),
        created_at: message.created_at,
        attempts: u64::from(message.attempts),
        due_at: message.next_try_at,
        failure: message.failure.as_deref(),
    });
    Ok(visitor.show(&Outbox {
        shell: &visitor.shell(),
        messages: rows.collect(),
        sends_mail: authd.policy().sends_mail,
        first_page: (page.after > 0).then_some(OUTBOX),
        next_page: next.as_deref(),
    }))
}

pub(in crate::http) fn send(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<MessageForm>,
) -> Result<Response, HttpError> {
    let id = form.message.parse();
    let id = id.map_err(|_| HttpError::not_found("There is no such message."))?;
    administration(visitor, browser)?.retry_message(id)?;
    Ok(visitor.go_with(OUTBOX, Notice::MessageDue))
}
