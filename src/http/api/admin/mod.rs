//! The administration as JSON: the handlers of `/v1/admin/…`, and what their inputs have in common.
//!
//! Each list is read page by page. `limit` says how many things a page has at most. Where a list goes on, the answer has
//! `next`, which the client sends as `after` (or, with events, as `before`) for the next page.

pub(in crate::http) mod accounts;
pub(in crate::http) mod events;
pub(in crate::http) mod groups;
pub(in crate::http) mod invitations;
pub(in crate::http) mod links;
pub(in crate::http) mod outbox;
pub(in crate::http) mod server;
pub(in crate::http) mod sessions;

use schemars::{JsonSchema, SchemaGenerator, json_schema};

use super::limit::DEFAULT_LIMIT;
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Input, InputDescription, Parameter};
use crate::ids::{AccountId, InvitationId, SessionId};
use crate::service::Selector;

/// The most things on a page.
const MOST: u32 = 1000;

/// How many things a page has at most.
type Limit = super::limit::Limit<MOST>;

/// The `limit` of a query, for the OpenAPI document.
fn describe_limit(_: &mut SchemaGenerator) -> schemars::Schema {
    json_schema!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT })
}

/// The account in the path, by its id.
pub(in crate::http) struct PathAccount(pub(in crate::http) Selector);

impl Input for PathAccount {
    fn read(call: &Call<'_>) -> Result<PathAccount, HttpError> {
        account_at(call, 0).map(PathAccount)
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        let schema = AccountId::json_schema(generator);
        describe(description, "id", "The id of an account.", schema);
    }
}

/// An account and one of its sessions in the path.
pub(in crate::http) struct PathAccountSession(Selector, SessionId);

impl Input for PathAccountSession {
    fn read(call: &Call<'_>) -> Result<PathAccountSession, HttpError> {
        let account = account_at(call, 0)?;
        let session = call.parameters[1].parse();
        let session = session.map_err(|_| HttpError::no_such_session())?;
        Ok(PathAccountSession(account, session))
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        PathAccount::describe(description, generator);
        let schema = SessionId::json_schema(generator);
        describe(description, "session", "The id of a session.", schema);
    }
}

/// The group in the path, by its name.
pub(in crate::http) struct PathGroup(pub(in crate::http) String);

impl Input for PathGroup {
    fn read(call: &Call<'_>) -> Result<PathGroup, HttpError> {
        Ok(PathGroup(call.parameters[0].to_owned()))
    }

    fn describe(description: &mut InputDescription, _: &mut SchemaGenerator) {
        let schema = json_schema!({ "type": "string" });
        describe(description, "name", "The name of a group.", schema);
    }
}

/// A group and an account in the path.
pub(in crate::http) struct PathMember(String, Selector);

impl Input for PathMember {
    fn read(call: &Call<'_>) -> Result<PathMember, HttpError> {
        let group = call.parameters[0].to_owned();
        Ok(PathMember(group, account_at(call, 1)?))
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        PathGroup::describe(description, generator);
        PathAccount::describe(description, generator);
    }
}

/// The invitation in the path.
pub(in crate::http) struct PathInvitation(pub(in crate::http) InvitationId);

impl Input for PathInvitation {
    fn read(call: &Call<'_>) -> Result<PathInvitation, HttpError> {
        let id = call.parameters[0].parse();
        id.map(PathInvitation)
            .map_err(|_| HttpError::not_found("There is no such invitation."))
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        let schema = InvitationId::json_schema(generator);
        describe(description, "id", "The id of an invitation.", schema);
    }
}

/// The message in the path.
pub(in crate::http) struct PathMessage(pub(in crate::http) i64);

impl Input for PathMessage {
    fn read(call: &Call<'_>) -> Result<PathMessage, HttpError> {
        let id = call.parameters[0].parse();
        id.map(PathMessage)
            .map_err(|_| HttpError::not_found("There is no such message."))
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        let schema = i64::json_schema(generator);
        describe(description, "id", "The id of a message.", schema);
    }
}

fn account_at(call: &Call<'_>, place: usize) -> Result<Selector, HttpError> {
    let id = call.parameters[place].parse();
    id.map(Selector::Id)
        .map_err(|_| HttpError::not_found("There is no such account."))
}

fn describe(description: &mut InputDescription, name: &str, words: &str, schema: schemars::Schema) {
    description.parameters.push(Parameter {
        name: name.to_owned(),
        place: "path",
        is_required: true,
        description: Some(words.to_owned()),
        schema: schema.to_value(),
    });
}
