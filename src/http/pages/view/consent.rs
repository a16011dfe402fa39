//! What a person is asked before an app gets something, and the page that carries an answer to the app by a form.

use askama::Template;

use super::{Language, Shell, view};

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

impl Language {
    /// What a scope lets an app see or do, in words.
    pub fn scope_words(self, scope: &str) -> String {
        let words = match scope {
            "openid" => self.scope_openid(),
            "profile" => self.scope_profile(),
            "email" => self.scope_email(),
            "groups" => self.scope_groups(),
            "offline_access" => self.scope_offline_access(),
            other => return self.scope_other(other),
        };
        words.to_owned()
    }
}

/// A sign-out that an app asked for, `POST /oauth/logout/confirm`: field `request`.
#[derive(Template)]
#[template(path = "pages/sign_out.html")]
pub struct SignOut<'a> {
    pub shell: &'a Shell<'a>,
    /// What the app is called, if it is known.
    pub app: Option<&'a str>,
    /// The request, as a query.
    pub request: &'a str,
}

view!(SignOut, title: |it, t| t.sign_out_title());

/// An answer on its way to an app in a form, which the script sends and a person without scripts sends by its button.
#[derive(Template)]
#[template(path = "pages/form_post.html")]
pub struct FormPost<'a> {
    pub shell: &'a Shell<'a>,
    pub action: &'a str,
    pub fields: &'a [(&'static str, String)],
}

view!(FormPost, title: |it, t| t.form_post_title(), script: true);
