//! Sign-outs that an app asks for (OpenID Connect RP-Initiated Logout 1.0).

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::oauth::parameters::{self, InForm, InQuery, Parameters};
use crate::http::pages::view::consent::SignOut;
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{LogoutParameters, LogoutRequest};

/// The path of the endpoint.
const LOGOUT: &str = "/oauth/logout";

/// A request that an app sends in a form. It goes on as a query, as an authorization request does.
pub(in crate::http) fn log_out_by_form(
    _: &Call<'_>,
    InForm(form): InForm,
) -> Result<Response, HttpError> {
    Ok(Response::new(303).header("location", parameters::as_query(LOGOUT, &form.0)?))
}

pub(in crate::http) fn log_out(
    visitor: &Visitor<'_>,
    InQuery(query): InQuery,
) -> Result<Response, HttpError> {
    let request = read(visitor, &Parameters(query))?;
    match visitor.browser() {
        Some(browser) if !request.is_of(browser) => Ok(ask(visitor, &request)),
        _ => sign_out(visitor, &request),
    }
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Confirmation {
    /// The request, as a query.
    #[serde(default)]
    request: String,
}

/// The person said yes.
pub(in crate::http) fn confirm(
    visitor: &Visitor<'_>,
    Form(form): Form<Confirmation>,
) -> Result<Response, HttpError> {
    let query = Parameters(parameters::read(form.request.as_bytes())?);
    sign_out(visitor, &read(visitor, &query)?)
}

fn read(visitor: &Visitor<'_>, query: &Parameters) -> Result<LogoutRequest, HttpError> {
    Ok(visitor.call.authd.read_logout(&LogoutParameters {
        id_token_hint: query.get("id_token_hint")?,
        client_id: query.get("client_id")?,
        post_logout_redirect_uri: query.get("post_logout_redirect_uri")?,
        state: query.get("state")?,
    })?)
}

fn ask(visitor: &Visitor<'_>, request: &LogoutRequest) -> Response {
    let query = visitor.call.request.query.as_deref().unwrap_or_default();
    visitor.show(&SignOut {
        shell: &visitor.shell(),
        app: request.client.as_ref().map(|client| client.name.as_str()),
        request: query,
    })
}

fn sign_out(visitor: &Visitor<'_>, request: &LogoutRequest) -> Result<Response, HttpError> {
    let call = visitor.call;
    let go_on = match &request.destination {
        Some(address) => visitor.leave(address.clone()),
        None => visitor.go("/signed-out"),
    };
    let Some(browser) = visitor.browser() else {
        return Ok(go_on);
    };
    call.authd
        .end_session(&browser.actor, browser.actor.session, &call.device)?;
    Ok(go_on.header("set-cookie", visitor.forget_session()))
}
