//! Where the reader is signed in.

use super::Given;
use askama::Template;

use super::parts::{Confirmation, Device, Field, Pager};
use super::{FieldError, Markup, Section, Shell, view};
use crate::clock::Timestamp;

/// How a session was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// By this server's sign-in page, with a cookie.
    Browser,
    /// By an app, with tokens.
    App,
}

/// One session.
pub struct Session<'a> {
    pub id: &'a str,
    pub device: Device<'a>,
    pub kind: Kind,
    /// The IP address of its last use.
    pub address: &'a str,
    pub signed_in_at: Timestamp,
    pub last_used_at: Timestamp,
    /// The absolute end.
    pub expires_at: Timestamp,
    /// Whether it is the one that asks.
    pub is_current: bool,
    /// What the device says about itself.
    pub user_agent: Option<&'a str>,
}

impl Session<'_> {
    fn kind_words(&self, t: impl Given<super::Language>) -> &'static str {
        let t = t.given();

        match self.kind {
            Kind::Browser => t.kind_browser(),
            Kind::App => t.kind_app(),
        }
    }
}

/// `GET /account/sessions`. The buttons post `session` (an id) to `/account/sessions/end`.
#[derive(Template)]
#[template(path = "pages/sessions.html")]
pub struct Sessions<'a> {
    pub shell: &'a Shell<'a>,
    /// At most about 20 for each page, the current one first.
    pub sessions: Vec<Session<'a>>,
    /// Whether there is another session, on this page or the next.
    pub has_others: bool,
    pub first_page: Option<&'a str>,
    pub next_page: Option<&'a str>,
}

view!(Sessions, title: |it, t| t.sessions_title(), section: Section::Sessions, script: true);

impl Sessions<'_> {
    fn pager(&self) -> Pager<'_> {
        let t = self.shell.language;
        Pager {
            t,
            first: self.first_page,
            next: self.next_page,
            next_words: t.next_page(),
        }
    }
}

/// `GET /account/sessions/{id}`. Its forms post `device_name` to `/account/sessions/{id}`, and `session` to
/// `/account/sessions/end`.
#[derive(Template)]
#[template(path = "pages/session.html")]
pub struct SessionDetails<'a> {
    pub shell: &'a Shell<'a>,
    pub session: Session<'a>,
    /// What was typed, or the name of the device.
    pub device_name: &'a str,
    pub errors: Vec<FieldError>,
}

view!(SessionDetails, title: |it, t| it.session.device.shown(t), section: Section::Sessions, errors: errors, script: true);

/// `GET /account/sessions/end-others`; the button posts there.
#[derive(Template)]
#[template(path = "pages/confirmation.html")]
pub struct EndOthers<'a> {
    pub shell: &'a Shell<'a>,
    /// How many sessions end.
    pub others: u64,
}

view!(EndOthers, title: |it, t| t.end_others(), section: Section::Sessions);

impl EndOthers<'_> {
    fn confirmation(&self) -> Markup {
        let t = self.shell.language;
        Confirmation {
            shell: self.shell,
            t,
            action: "/account/sessions/end-others",
            subject: None,
            consequences: vec![
                t.ends_sessions(self.others),
                t.end_others_keeps().into(),
                t.end_others_apps().into(),
                t.end_others_unknown().into(),
            ],
            buttons: vec![("", t.end_others())],
            is_dangerous: true,
            typed: None,
            errors: &[],
            back: "/account/sessions",
        }
        .markup()
    }
}
