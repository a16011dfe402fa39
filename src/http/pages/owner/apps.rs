//! Apps that the reader signed in to.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::pages::view::Notice;
use crate::http::pages::view::apps::{App, Apps};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{Browser, Code, Error};

const APPS: &str = "/account/apps";

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let apps = visitor.call.authd.apps(&browser.actor)?;
    let apps = apps.iter().map(|app| App {
        client_id: &app.client_id,
        name: &app.name,
        scopes: app
            .scope
            .split(' ')
            .filter(|word| !word.is_empty())
            .collect(),
        allowed_at: app.allowed_at,
        last_used_at: app.last_used_at,
        sessions: app.sessions.into(),
    });
    Ok(visitor.show(&Apps {
        shell: &visitor.shell(),
        apps: apps.collect(),
    }))
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Ended {
    #[serde(default)]
    client_id: String,
}

pub(in crate::http) fn end(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<Ended>,
) -> Result<Response, HttpError> {
    let call = visitor.call;
    match call
        .authd
        .end_app(&browser.actor, &form.client_id, &call.device)
    {
        // In another tab, perhaps: it is as the reader wants it.
        Ok(()) | Err(Error::No(Code::NotFound, _)) => Ok(visitor.go_with(APPS, Notice::AppEnded)),
        Err(error) => Err(error.into()),
    }
}
