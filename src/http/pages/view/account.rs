//! The account of the reader.

use askama::Template;

use super::parts::{Confirmation, Field};
use super::{FieldError, Markup, Section, Shell, view};
use crate::clock::Timestamp;

/// A change of address that waits.
#[derive(Clone, Copy)]
pub struct PendingEmail<'a> {
    pub present: &'a str,
    pub new: &'a str,
    pub is_present_confirmed: bool,
    pub is_new_confirmed: bool,
}

impl<'a> PendingEmail<'a> {
    /// Both addresses, and whether each is confirmed.
    fn sides(&self) -> [(&'a str, bool); 2] {
        [
            (self.present, self.is_present_confirmed),
            (self.new, self.is_new_confirmed),
        ]
    }
}

/// `GET /account`. Its forms post to `/account/email/confirmation` (send the confirmation again) and
/// `/account/email/withdraw`.
#[derive(Template)]
#[template(path = "pages/account.html")]
pub struct Account<'a> {
    pub shell: &'a Shell<'a>,
    pub name: Option<&'a str>,
    pub username: Option<&'a str>,
    pub email: &'a str,
    pub is_email_confirmed: bool,
    /// Whether a confirmation can be mailed.
    pub sends_mail: bool,
    pub pending_email: Option<PendingEmail<'a>>,
    /// When the password was changed last, if that is known.
    pub password_changed_at: Option<Timestamp>,
    pub groups: Vec<&'a str>,
    pub created_at: Timestamp,
}

view!(Account, title: |it, t| t.account_title(), section: Section::Account);

/// `GET` and `POST /account/profile`: fields `name`, `username`.
#[derive(Template)]
#[template(path = "pages/profile.html")]
pub struct Profile<'a> {
    pub shell: &'a Shell<'a>,
    pub name: &'a str,
    pub username: &'a str,
    pub errors: Vec<FieldError>,
}

view!(Profile, title: |it, t| t.profile_title(), section: Section::Account, errors: errors);

/// `GET` and `POST /account/email`: field `email`.
#[derive(Template)]
#[template(path = "pages/change_email.html")]
pub struct ChangeEmail<'a> {
    pub shell: &'a Shell<'a>,
    /// The address that the account has.
    pub present: &'a str,
    /// What was typed before.
    pub email: &'a str,
    /// Where mail is off, an operator has to hand over the links.
    pub sends_mail: bool,
    pub errors: Vec<FieldError>,
}

view!(ChangeEmail, title: |it, t| t.email_title(), section: Section::Account, errors: errors);

/// `GET` and `POST /account/password`: fields `new_password` and, if asked for, `current_password`.
#[derive(Template)]
#[template(path = "pages/change_password.html")]
pub struct ChangePassword<'a> {
    pub shell: &'a Shell<'a>,
    /// For password managers.
    pub email: &'a str,
    /// Whether the form asks for the current password; not right after a step-up.
    pub asks_current: bool,
    pub min_length: usize,
    pub errors: Vec<FieldError>,
}

view!(ChangePassword, title: |it, t| t.password_title(), section: Section::Account, errors: errors, script: true);

/// `GET` and `POST /account/delete`: field `typed`, the e-mail address.
#[derive(Template)]
#[template(path = "pages/delete_account.html")]
pub struct DeleteAccount<'a> {
    pub shell: &'a Shell<'a>,
    pub email: &'a str,
    pub typed: &'a str,
    /// The sessions that end, with this one.
    pub sessions: u64,
    /// The only administrator cannot be deleted: the page says so in the place of the form.
    pub is_last_admin: bool,
    pub errors: Vec<FieldError>,
}

view!(DeleteAccount, title: |it, t| t.delete_title(), section: Section::Account, errors: errors);

impl DeleteAccount<'_> {
    fn confirmation(&self) -> Markup {
        let t = self.shell.language;
        Confirmation {
            shell: self.shell,
            t,
            action: "/account/delete",
            subject: None,
            consequences: vec![
                t.delete_data().into(),
                t.delete_sessions(self.sessions),
                t.delete_apps().into(),
                t.delete_for_good().into(),
            ],
            buttons: vec![("", t.delete_button())],
            is_dangerous: true,
            typed: Some((self.email, self.typed)),
            errors: &self.errors,
            back: "/account",
        }
        .markup()
    }
}
