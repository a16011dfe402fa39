//! What a person is asked before an app gets something, and the page that carries an answer to the app by a form.

use askama::Template;

use super::{Shell, view};

/// `POST /consent`: fields `request`, and `decision` (`allow`, `deny`, `switch`).
#[derive(Template)]
#[template(path = "pages/consent.html")]
pub struct Consent<'a> {
    pub shell: &'a Shell<'a>,
    /// What the app is called.
    pub app: &'a str,
    /// The address of the account.
    pub email: &'a str,
    /// The scopes that it gets.
    pub scopes: Vec<&'a str>,
    /// Whether the person has not agreed to all of it before.
    pub is_new: bool,
    /// Whether the app expects another account. There is nothing to allow then.
    pub is_other_account: bool,
    /// Where the browser goes on to, as far as a person reads it.
    pub destination: &'a str,
    /// The authorization request, as a query.
    pub request: &'a str,
}

view!(Consent, title: |it, t| t.consent_title(it.app));

impl Consent<'_> {
    /// What a scope lets the app see or do, in words.
    fn words(&self, scope: &str) -> String {
        let t = self.shell.language;
        match scope {
            "openid" => t.scope_openid().to_owned(),
            "profile" => t.scope_profile().to_owned(),
            "email" => t.scope_email().to_owned(),
            "groups" => t.scope_groups().to_owned(),
            "offline_access" => t.scope_offline_access().to_owned(),
            other => t.scope_other(other),
        }
    }
}

/// An answer on its way to an app in a form, which the script sends and a person without scripts sends by its button.
#[derive(Template)]
#[template(path = "pages/form_post.html")]
pub struct FormPost<'a> {
    pub shell: &'a Shell<'a>,
    pub action: &'a str,
    pub fields: &'a [(&'static str, String)],
}

view!(FormPost, title: |it, t| t.form_post_title(), script: true);
