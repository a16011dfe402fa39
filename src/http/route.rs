//! What a route is made of, and what a handler is given.
//!
//! A route cannot be written without its guard: the guard holds the handler, and a handler that wants to know who
//! asks has another type than one that does not.

use ipnet::IpNet;
use schemars::{Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::http::api::problem::Problem;
use crate::http::request::{Method, Request};
use crate::http::response::Response;
use crate::service::{Actor, Authd, Device};

/// One request on its way through a handler.
pub struct Call<'a> {
    pub(in crate::http) authd: &'a Authd,
    pub(in crate::http) request: &'a Request,
    pub(in crate::http) device: Device,
    /// What stands in the place of `{id}`.
    pub(in crate::http) parameter: &'a str,
    /// Proxies whose word on the client's address is taken.
    pub(in crate::http) trusted_proxies: &'a [IpNet],
}

/// Who may call, and what is called then.
#[derive(Clone, Copy)]
pub enum Guard {
    /// Everybody.
    Public(fn(&Call<'_>) -> Result<Response, Problem>),
    /// Whoever presents a first-party access token of an open session.
    Bearer(fn(&Call<'_>, &Actor) -> Result<Response, Problem>),
    /// Whoever can read the server's file, and shows it with a pass of `authd doctor`. For everybody else there is
    /// nothing at this path.
    Doctor(fn(&Call<'_>) -> Result<Response, Problem>),
}

/// The schema of a type, for the OpenAPI document.
pub type Describe = fn(&mut SchemaGenerator) -> Schema;

/// One thing that can be asked for.
pub struct Route {
    /// By which method. HEAD goes wherever GET does.
    pub method: Method,
    /// The path; `{id}` stands for one segment.
    pub path: &'static str,
    /// What a generated client calls it: the `operationId` of the OpenAPI document.
    pub operation: &'static str,
    /// Who may, and what happens.
    pub guard: Guard,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What the body holds, if it takes one.
    pub takes: Option<Describe>,
    /// The status when all is well, and what it answers, if that is JSON.
    pub gives: (u16, Option<Describe>),
    /// The statuses of its refusals, beyond those that every route has.
    pub refuses: &'static [u16],
}

impl Route {
    /// Whether it takes an access token.
    pub fn is_guarded(&self) -> bool {
        matches!(self.guard, Guard::Bearer(_))
    }
}

impl Call<'_> {
    /// The token in the query of a link that was opened, or a word in its place: see [`Call::secret_of_link`].
    pub(in crate::http) fn token_of_link(&self, is_token: impl Fn(&str) -> bool) -> String {
        let token = self.secret_of_link("token", is_token);
        token.unwrap_or_else(|| "TOKEN".to_owned())
    }

    /// The parameter `name` of a link that was opened. Mail services add parameters of their own, before and after it. It is
    /// shown again only if it has the form of a token, as `is_token` judges, which leaves no room for anything else.
    pub(in crate::http) fn secret_of_link(
        &self,
        name: &str,
        is_token: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let query = self.request.query.as_deref().unwrap_or_default();
        let values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        let mut tokens = values
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| is_token(value));
        tokens.next()
    }

    /// The body, as JSON of this form: nothing missing, nothing unknown, nothing twice.
    pub(in crate::http) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let content_type = self.request.header("content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Problem::unsupported_media_type());
        }
        let invalid = |why: &dyn std::fmt::Display| {
            Problem::invalid_request(format!("The body is not as it should be: {why}."))
        };
        if self.request.body.is_empty() {
            return Err(invalid(&"it is empty"));
        }
        // serde would take the members in a list, too, by their order.
        if !self.request.body.trim_ascii_start().starts_with(b"{") {
            return Err(invalid(&"it is not a JSON object"));
        }
        serde_json::from_slice(&self.request.body).map_err(|error| invalid(&error))
    }
}
