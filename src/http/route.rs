//! What a route is made of.
//!
//! A route cannot be written without its surface and its guard. The guard holds the handler: a handler that wants to know
//! the account that asks has another type than one that does not. The handler's parameter is the input of the route, from
//! which the OpenAPI document is written too.

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::call::{Call, Parameters};
use super::error::HttpError;
use super::input::{Input, InputDescription};
use super::response::Response;
use super::surface::Surface;
use crate::service::{Actor, Administration};

/// One operation of the interface.
pub struct Route {
    /// The method. HEAD leads wherever GET does.
    pub method: Method,
    /// The path; `{id}` and other names in braces stand for one segment each, of which there are at most two.
    pub path: &'static str,
    /// The kind of client that it is for.
    pub surface: Surface,
    /// Who may call it, and its handler.
    pub guard: &'static dyn Guard,
    /// What a generated client calls it.
    pub operation_id: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Its answers when it has done what was asked.
    pub answers: &'static [Answer],
    /// The statuses of its refusals, beyond those that every route has.
    pub refuses: &'static [u16],
}

impl Route {
    /// Whether it takes an access token.
    pub fn takes_access_token(&self) -> bool {
        matches!(self.guard.access(), Access::Bearer | Access::AdminBearer)
    }

    /// Who may call it.
    pub fn access(&self) -> Access {
        self.guard.access()
    }

    /// Whether it is a route of this path.
    pub(super) fn is_at(&self, path: &str) -> bool {
        self.path == path || match_pattern(self.path, path).is_some()
    }

    /// Whether it takes a body.
    pub fn takes_body(&self) -> bool {
        let mut generator = SchemaGenerator::default();
        self.guard.describe_input(&mut generator).body.is_some()
    }
}

/// What stands in `path` in the places of the parameters of `pattern`; `None` if it is another path, or `pattern` has none.
pub(super) fn match_pattern<'p>(pattern: &str, path: &'p str) -> Option<Parameters<'p>> {
    // Most patterns have no parameter, or another beginning.
    let (fixed, _) = pattern.split_once('{')?;
    if !path.starts_with(fixed) {
        return None;
    }
    let mut parameters = Parameters::default();
    let mut places = parameters.iter_mut();
    let (mut expected, mut found) = (pattern.split('/'), path.split('/'));
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return Some(parameters),
            (Some(name), Some(segment)) if name.starts_with('{') && !segment.is_empty() => {
                *places.next()? = segment;
            }
            (Some(name), Some(segment)) if name == segment => {}
            _ => return None,
        }
    }
}

/// The schema of a type, for the OpenAPI document.
pub type Describe = fn(&mut SchemaGenerator) -> Schema;

/// One answer of a route, for the OpenAPI document.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What it means.
    pub description: &'static str,
    /// What its body is.
    pub content: Content,
}

/// The body of an answer.
pub enum Content {
    /// There is none.
    Nothing,
    /// JSON of this type.
    Json(Describe),
    /// JSON whose form is another standard's.
    AnyJson,
    /// Plain text.
    Text,
}

impl Answer {
    pub(super) const fn nothing(status: u16, description: &'static str) -> Answer {
        let content = Content::Nothing;
        Answer {
            status,
            description,
            content,
        }
    }

    pub(super) const fn json<T: JsonSchema>(status: u16, description: &'static str) -> Answer {
        Answer {
            status,
            description,
            content: Content::Json(SchemaGenerator::subschema_for::<T>),
        }
    }

    pub(super) const fn any_json(description: &'static str) -> Answer {
        Answer {
            status: 200,
            description,
            content: Content::AnyJson,
        }
    }

    pub(super) const fn text(description: &'static str) -> Answer {
        Answer {
            status: 200,
            description,
            content: Content::Text,
        }
    }
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Every client.
    Public,
    /// A client that presents a first-party access token of an open session.
    Bearer,
    /// An account owner who is signed in, in a browser.
    Cookie,
    /// An administrator who is signed in, in a browser, and authenticated lately.
    Administrator,
    /// A client that presents a first-party access token of the scope `admin`, in an open session of an account that is
    /// an administrator at this moment.
    AdminBearer,
    /// `authd doctor`, which can read the server's file and proves it with a pass. Other clients get the 404 of a path
    /// that does not exist.
    Doctor,
}

/// A handler behind the check of who may call it.
pub trait Guard: Sync {
    /// Who may call it.
    fn access(&self) -> Access;

    /// Checks who calls, reads the input, runs the handler.
    ///
    /// # Errors
    /// What the check, the input or the handler refuses.
    fn answer(&self, call: &Call<'_>) -> Result<Response, HttpError>;

    /// The input of the handler, for the OpenAPI document.
    fn describe_input(&self, generator: &mut SchemaGenerator) -> InputDescription;
}

/// [`Access::Public`] to a handler.
pub(super) struct Public<I>(pub(super) fn(&Call<'_>, I) -> Result<Response, HttpError>);

/// [`Access::Bearer`] to a handler, which is told the account.
pub(super) struct Bearer<I>(pub(super) fn(&Call<'_>, &Actor, I) -> Result<Response, HttpError>);

/// [`Access::AdminBearer`] to a handler, which gets what an administrator may do.
pub(super) struct AdminBearer<I>(
    pub(super) fn(&Call<'_>, &Administration<'_>, I) -> Result<Response, HttpError>,
);

/// [`Access::Doctor`] to a handler.
pub(super) struct Doctor<I>(pub(super) fn(&Call<'_>, I) -> Result<Response, HttpError>);

impl<I: Input> Guard for Public<I> {
    fn access(&self) -> Access {
        Access::Public
    }

    fn answer(&self, call: &Call<'_>) -> Result<Response, HttpError> {
        (self.0)(call, I::read(call)?)
    }

    fn describe_input(&self, generator: &mut SchemaGenerator) -> InputDescription {
        InputDescription::of::<I>(generator)
    }
}

impl<I: Input> Guard for Bearer<I> {
    fn access(&self) -> Access {
        Access::Bearer
    }

    fn answer(&self, call: &Call<'_>) -> Result<Response, HttpError> {
        // Before the input: a client without a token learns nothing about what is expected.
        let actor = call.actor()?;
        (self.0)(call, &actor, I::read(call)?)
    }

    fn describe_input(&self, generator: &mut SchemaGenerator) -> InputDescription {
        InputDescription::of::<I>(generator)
    }
}

impl<I: Input> Guard for AdminBearer<I> {
    fn access(&self) -> Access {
        Access::AdminBearer
    }

    fn answer(&self, call: &Call<'_>) -> Result<Response, HttpError> {
        let token = call.bearer_token().ok_or_else(HttpError::missing_token)?;
        let administration = call.authd.administration(token, &call.device)?;
        (self.0)(call, &administration, I::read(call)?)
    }

    fn describe_input(&self, generator: &mut SchemaGenerator) -> InputDescription {
        InputDescription::of::<I>(generator)
    }
}

impl<I: Input> Guard for Doctor<I> {
    fn access(&self) -> Access {
        Access::Doctor
    }

    fn answer(&self, call: &Call<'_>) -> Result<Response, HttpError> {
        match call.bearer_token() {
            Some(pass) if call.authd.admits(pass) => (self.0)(call, I::read(call)?),
            _ => Err(HttpError::no_such_path()),
        }
    }

    fn describe_input(&self, generator: &mut SchemaGenerator) -> InputDescription {
        InputDescription::of::<I>(generator)
    }
}
