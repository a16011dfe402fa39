//! The authorization endpoint and the consent page (RFC 6749 §3.1, OpenID Connect Core §3.1.2).

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::oauth::parameters::{self, InForm, InQuery};
use crate::http::pages::view::consent::{Consent, FormPost};
use crate::http::pages::view::message::About;
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{
    Answer, AuthorizationRequest, Browser, Question, Refused, ResponseMode, Step, StepUpPurpose,
    Unanswerable,
};

/// The path of the endpoint.
const AUTHORIZE: &str = "/oauth/authorize";

/// A request that an app sends in a form. It goes on as a query, because a browser sends no session cookie with a form of
/// another site.
pub(in crate::http) fn authorize_by_form(
    _: &Call<'_>,
    InForm(form): InForm,
) -> Result<Response, HttpError> {
    Ok(Response::new(303).header("location", parameters::as_query(AUTHORIZE, &form.0)?))
}

pub(in crate::http) fn authorize(
    visitor: &Visitor<'_>,
    InQuery(query): InQuery,
) -> Result<Response, HttpError> {
    match visitor.call.authd.read_authorization(&query)? {
        Ok(request) => {
            let step = visitor
                .call
                .authd
                .authorization_step(&request, visitor.browser())?;
            go_on(visitor, &request, step)
        }
        Err(refused) => Ok(show_refusal(visitor, &refused)),
    }
}

/// What the person decided.
#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Decision {
    #[serde(default)]
    request: String,
    #[serde(default)]
    decision: String,
}

/// The consent page without its request: a bookmark, or a page that was loaded again.
pub(in crate::http) fn show_consent(visitor: &Visitor<'_>, (): ()) -> Result<Response, HttpError> {
    Ok(visitor.go("/account"))
}

pub(in crate::http) fn decide(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<Decision>,
) -> Result<Response, HttpError> {
    let authd = visitor.call.authd;
    let query = parameters::read(form.request.as_bytes())?;
    let request = match authd.read_authorization(&query)? {
        Ok(request) => request,
        Err(refused) => return Ok(show_refusal(visitor, &refused)),
    };
    match form.decision.as_str() {
        "allow" => {
            let step = authd.step_after_consent(&request, browser)?;
            go_on(visitor, &request, step)
        }
        "switch" => {
            authd.end_session(&browser.actor, browser.actor.session, &visitor.call.device)?;
            Ok(to_sign_in(visitor, &request).header("set-cookie", visitor.forget_session()))
        }
        _ => {
            let answer = request.refuse(authd, "access_denied", "The person did not allow it.");
            Ok(send(visitor, &answer))
        }
    }
}

fn go_on(
    visitor: &Visitor<'_>,
    request: &AuthorizationRequest,
    step: Step,
) -> Result<Response, HttpError> {
    let call = visitor.call;
    match (step, visitor.browser()) {
        (Step::SignIn(next), _) => Ok(to_sign_in(visitor, &next)),
        (Step::Authenticate(next), _) => {
            Ok(visitor.to_step_up_for(StepUpPurpose::SignIn, &address(visitor, &next)))
        }
        (Step::Ask(question), Some(browser)) => Ok(ask(visitor, browser, request, &question)),
        (Step::Forbidden, _) => Ok(visitor.show_message(
            403,
            About::AppForbidden {
                app: &request.client.name,
            },
        )),
        (Step::Answer(answer), _) => Ok(send(visitor, &answer)),
        (Step::Grant, Some(browser)) => {
            let answer = call.authd.grant_code(request, browser, &call.device)?;
            Ok(send(visitor, &answer))
        }
        // Nobody is asked and nothing is granted where nobody is signed in.
        (Step::Ask(_) | Step::Grant, None) => Ok(to_sign_in(visitor, request)),
    }
}

fn ask(
    visitor: &Visitor<'_>,
    browser: &Browser,
    request: &AuthorizationRequest,
    question: &Question,
) -> Response {
    let destination = destination(&request.redirect_uri);
    visitor.show(&Consent {
        shell: &visitor.shell(),
        app: &request.client.name,
        email: &browser.email,
        scopes: request.scope.iter().collect(),
        is_new: question.is_new,
        is_other_account: question.is_other_account,
        destination,
        request: &request.query(visitor.call.authd),
    })
}

/// Host and port of a web address, and the scheme of an app's own: what a person can recognise.
fn destination(redirect_uri: &str) -> &str {
    match redirect_uri.split_once("://") {
        Some(("http" | "https", rest)) => rest.split(['/', '?']).next().unwrap_or(rest),
        _ => redirect_uri.split(':').next().unwrap_or(redirect_uri),
    }
}

fn to_sign_in(visitor: &Visitor<'_>, request: &AuthorizationRequest) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", &address(visitor, request));
    if let Some(hint) = &request.login_hint {
        query.append_pair("login_hint", hint);
    }
    visitor.go(&format!("/login?{}", query.finish()))
}

fn address(visitor: &Visitor<'_>, request: &AuthorizationRequest) -> String {
    format!("{AUTHORIZE}?{}", request.query(visitor.call.authd))
}

fn show_refusal(visitor: &Visitor<'_>, refused: &Refused) -> Response {
    match refused {
        Refused::Page(Unanswerable::UnknownClient) => visitor.show_message(400, About::UnknownApp),
        Refused::Page(Unanswerable::RedirectUri) => {
            visitor.show_message(400, About::UnknownAppAddress)
        }
        Refused::Answer(answer) => send(visitor, answer),
    }
}

/// Sends an answer to the app, in the way that the app asked for.
fn send(visitor: &Visitor<'_>, answer: &Answer) -> Response {
    match answer.mode {
        ResponseMode::Query | ResponseMode::Fragment => visitor.leave(answer.location()),
        ResponseMode::FormPost => visitor.show(&FormPost {
            shell: &visitor.shell(),
            action: &answer.redirect_uri,
            fields: &answer.parameters,
        }),
    }
}
