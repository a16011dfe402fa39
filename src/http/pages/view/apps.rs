//! Apps that the reader signed in to.

use askama::Template;

use super::parts::Empty;
use super::{Given, Language, Section, Shell, view};
use crate::clock::Timestamp;

/// One app.
pub struct App<'a> {
    pub client_id: &'a str,
    pub name: &'a str,
    /// What it may see or do.
    pub scopes: Vec<&'a str>,
    pub allowed_at: Timestamp,
    /// `None` where it is signed in nowhere.
    pub last_used_at: Option<Timestamp>,
    /// In how many sessions it is signed in.
    pub sessions: u64,
}

impl App<'_> {
    fn scope_list(&self, t: impl Given<Language>) -> String {
        let t = t.given();
        let words: Vec<String> = self
            .scopes
            .iter()
            .map(|scope| t.scope_words(scope))
            .collect();
        words.join(" · ")
    }
}

/// `GET /account/apps`. The buttons post `client_id` to `/account/apps/end`.
#[derive(Template)]
#[template(path = "pages/apps.html")]
pub struct Apps<'a> {
    pub shell: &'a Shell<'a>,
    pub apps: Vec<App<'a>>,
}

view!(Apps, title: |it, t| t.apps_title(), section: Section::Apps, script: true);

impl Apps<'_> {
    fn empty(&self) -> Empty<'_> {
        let t = self.shell.language;
        Empty::new(t.apps_empty_title(), t.apps_empty())
    }
}
