//! The page on which a person types the code that a device shows (RFC 8628 §3.3).

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::owner::sessions::device;
use crate::http::pages::view::FieldError;
use crate::http::pages::view::device::{AllowDevice, DeviceDone, TypeCode};
use crate::http::pages::view::message::About;
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{Browser, Code, Error, WaitingDevice};

/// The longest code that is shown again, in bytes.
const LONGEST: usize = 64;

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Typed {
    #[serde(default)]
    user_code: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Decision {
    #[serde(default)]
    user_code: String,
    /// `allow` or `deny`; absent where the code was typed just now.
    decision: Option<String>,
}

/// The form; with the code in it where a link or a QR code brought the person here. The person sends it all the same: somebody
/// else could have sent the link (RFC 8628 §5.4).
pub(in crate::http) fn show(
    visitor: &Visitor<'_>,
    _: &Browser,
    Query(query): Query<Typed>,
) -> Result<Response, HttpError> {
    Ok(type_code(visitor, &query.user_code, Vec::new()))
}

pub(in crate::http) fn decide(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<Decision>,
) -> Result<Response, HttpError> {
    let call = visitor.call;
    let waiting = match call.authd.waiting_device(browser, &form.user_code) {
        Ok(waiting) => waiting,
        Err(error) => return refuse(visitor, &form.user_code, error),
    };
    let Some(decision) = form.decision else {
        return Ok(ask(visitor, browser, &waiting));
    };
    let is_allowed = decision == "allow";
    match call
        .authd
        .decide_device(browser, &waiting, is_allowed, &call.device)
    {
        Ok(()) => Ok(visitor.show(&DeviceDone {
            shell: &visitor.shell(),
            app: &waiting.client.name,
            is_allowed,
        })),
        Err(error) => refuse(visitor, &form.user_code, error),
    }
}

fn refuse(visitor: &Visitor<'_>, typed: &str, error: Error) -> Result<Response, HttpError> {
    let t = visitor.language;
    let text = match error {
        Error::No(Code::NotFound, _) => t.error_device_code().to_owned(),
        Error::Later(_, seconds) => t.error_too_many(&t.wait(seconds)),
        Error::No(Code::AccessDenied, _) => {
            return Ok(visitor.show_message(403, About::AppForbidden { app: t.this_app() }));
        }
        other => return Err(other.into()),
    };
    Ok(type_code(
        visitor,
        typed,
        vec![FieldError::new("user_code", text)],
    ))
}

fn type_code(visitor: &Visitor<'_>, typed: &str, errors: Vec<FieldError>) -> Response {
    let shown = if typed.len() <= LONGEST { typed } else { "" };
    visitor.show(&TypeCode {
        shell: &visitor.shell(),
        user_code: shown,
        errors,
    })
}

fn ask(visitor: &Visitor<'_>, browser: &Browser, waiting: &WaitingDevice) -> Response {
    let agent = Some(waiting.device.user_agent.as_str()).filter(|agent| !agent.is_empty());
    visitor.show(&AllowDevice {
        shell: &visitor.shell(),
        app: &waiting.client.name,
        email: &browser.email,
        scopes: waiting.scope.iter().collect(),
        device: device(None, agent),
        address: &waiting.device.ip.to_string(),
        user_code: &waiting.user_code,
    })
}
