//! Where the account owner is signed in.

use schemars::JsonSchema;
use serde::Deserialize;

use super::device_name;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::view::parts::Device;
use crate::http::pages::view::sessions::{
    EndOthers, Kind, Session as ShownSession, SessionDetails, Sessions,
};
use crate::http::pages::view::{FieldError, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::ids::SessionId;
use crate::service::{Browser, Code, Error, Session, SessionKind};

const SESSIONS: &str = "/account/sessions";

/// Sessions on one page.
const PAGE: usize = 20;

/// A page of a list: the number of entries that come before it.
#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Page {
    #[serde(default)]
    after: usize,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct NameForm {
    #[serde(default)]
    device_name: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct EndForm {
    #[serde(default)]
    session: String,
}

/// A session with the texts that its view borrows.
pub(in crate::http::pages) struct Texts {
    id: String,
    address: String,
}

impl Texts {
    pub(in crate::http::pages) fn of(session: &Session) -> Texts {
        Texts {
            id: session.id.to_string(),
            address: session.ip.to_string(),
        }
    }

    pub(in crate::http::pages) fn show<'a>(&'a self, session: &'a Session) -> ShownSession<'a> {
        ShownSession {
            id: &self.id,
            device: device(
                session.device_name.as_deref(),
                session.user_agent.as_deref(),
            ),
            kind: match session.kind {
                SessionKind::Browser => Kind::Browser,
                SessionKind::App => Kind::App,
            },
            address: &self.address,
            signed_in_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            is_current: session.current,
            user_agent: session.user_agent.as_deref(),
        }
    }
}

/// A device, by its own name and by what it calls itself.
pub(in crate::http::pages) fn device<'a>(
    own_name: Option<&'a str>,
    user_agent: Option<&'a str>,
) -> Device<'a> {
    let (program, system) = user_agent.map_or((None, None), device_name::of);
    Device {
        own_name,
        program,
        system,
    }
}

/// The sessions of the reader, the one that asks first.
fn own_sessions(visitor: &Visitor<'_>, browser: &Browser) -> Result<Vec<Session>, HttpError> {
    let mut sessions = visitor.call.authd.sessions(&browser.actor)?;
    sessions.sort_by_key(|session| !session.current);
    Ok(sessions)
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Query(page): Query<Page>,
) -> Result<Response, HttpError> {
    let sessions = own_sessions(visitor, browser)?;
    let shown: Vec<&Session> = sessions.iter().skip(page.after).take(PAGE).collect();
    let texts: Vec<Texts> = shown.iter().map(|session| Texts::of(session)).collect();
    let next = page.after.saturating_add(PAGE);
    let next_page = (next < sessions.len()).then(|| format!("{SESSIONS}?after={next}"));
    Ok(visitor.show(&Sessions {
        shell: &visitor.shell(),
        sessions: std::iter::zip(&texts, &shown)
            .map(|(texts, session)| texts.show(session))
            .collect(),
        has_others: sessions.len() > 1,
        first_page: (page.after > 0).then_some(SESSIONS),
        next_page: next_page.as_deref(),
    }))
}

pub(in crate::http) fn show(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let session = find(visitor, browser)?;
    let name = session.device_name.clone().unwrap_or_default();
    Ok(show_details(visitor, &session, &name, Vec::new()))
}

/// The session of the reader that the path names.
fn find(visitor: &Visitor<'_>, browser: &Browser) -> Result<Session, HttpError> {
    let id: Option<SessionId> = visitor.call.parameters[0].parse().ok();
    let sessions = own_sessions(visitor, browser)?;
    let found = sessions.into_iter().find(|session| Some(session.id) == id);
    found.ok_or_else(HttpError::no_such_session)
}

fn show_details(
    visitor: &Visitor<'_>,
    session: &Session,
    name: &str,
    errors: Vec<FieldError>,
) -> Response {
    let texts = Texts::of(session);
    visitor.show(&SessionDetails {
        shell: &visitor.shell(),
        session: texts.show(session),
        device_name: name,
        errors,
    })
}

pub(in crate::http) fn rename(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<NameForm>,
) -> Result<Response, HttpError> {
    let session = find(visitor, browser)?;
    let name = Some(form.device_name.as_str());
    match visitor
        .call
        .authd
        .name_session(&browser.actor, session.id, name)
    {
        Ok(_) => Ok(visitor.go_with(SESSIONS, Notice::SessionNamed)),
        Err(Error::No(Code::InvalidRequest, _)) => {
            let text = visitor.language.error_device_name();
            let errors = vec![FieldError::new("device_name", text)];
            Ok(show_details(visitor, &session, &form.device_name, errors))
        }
        Err(error) => Err(error.into()),
    }
}

pub(in crate::http) fn end(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<EndForm>,
) -> Result<Response, HttpError> {
    let call = visitor.call;
    let Ok(id) = form.session.parse::<SessionId>() else {
        return Ok(visitor.go_with(SESSIONS, Notice::SessionGone));
    };
    match call.authd.end_session(&browser.actor, id, &call.device) {
        Ok(()) if id == browser.actor.session => {
            let removed = visitor.cookies.remove_session();
            Ok(visitor.go("/signed-out").header("set-cookie", removed))
        }
        Ok(()) => Ok(visitor.go_with(SESSIONS, Notice::SessionEnded)),
        Err(Error::No(Code::NotFound, _)) => Ok(visitor.go_with(SESSIONS, Notice::SessionGone)),
        Err(error) => Err(error.into()),
    }
}

pub(in crate::http) fn show_end_others(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let sessions = own_sessions(visitor, browser)?;
    let others = u64::try_from(sessions.len().saturating_sub(1)).unwrap_or(u64::MAX);
    Ok(visitor.show(&EndOthers {
        shell: &visitor.shell(),
        others,
    }))
}

pub(in crate::http) fn end_others(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let call = visitor.call;
    call.authd
        .end_sessions(&browser.actor, true, &call.device)?;
    Ok(visitor.go_with(SESSIONS, Notice::SessionsEnded))
}
