//! Creating an account: registration, invitation, set-up.

use askama::Template;

use super::parts::Field;
use super::{FieldError, Markup, Shell, view};

/// What an invitation gives.
#[derive(Clone, Copy, Default)]
pub struct Invitation<'a> {
    /// The person who invites, if that is known.
    pub from: Option<&'a str>,
    /// The address that the account must have.
    pub email: Option<&'a str>,
    pub group: Option<&'a str>,
}

/// `GET` and `POST /register`: fields `email`, `name`, `username`, `password`. The token of an invitation is not in the
/// form; the handler keeps it in a cookie.
#[derive(Template)]
#[template(path = "pages/register.html")]
pub struct Register<'a> {
    pub shell: &'a Shell<'a>,
    pub invitation: Option<Invitation<'a>>,
    pub email: &'a str,
    pub name: &'a str,
    pub username: &'a str,
    pub min_length: usize,
    pub errors: Vec<FieldError>,
}

view!(Register, title: |it, t| t.register_title(), errors: errors, script: true);

impl Register<'_> {
    /// The sentences about the invitation.
    fn welcome(&self) -> Vec<Markup> {
        let t = self.shell.language;
        let Some(invitation) = self.invitation else {
            return Vec::new();
        };
        let from = match invitation.from {
            Some(person) => t.invited_by(person),
            None => Markup::text(t.invited_by_operator()),
        };
        let group = invitation.group.map(|group| t.invited_to_group(group));
        std::iter::once(from).chain(group).collect()
    }

    fn fixed_email(&self) -> Option<&str> {
        self.invitation.and_then(|invitation| invitation.email)
    }
}

/// After a registration that waits for its address to be proven. The same whether the address has an account or not.
#[derive(Template)]
#[template(path = "pages/check_mail.html")]
pub struct CheckMail<'a> {
    pub shell: &'a Shell<'a>,
    pub email: &'a str,
}

view!(CheckMail, title: |it, t| t.check_mail_title());

/// The link of a registration that waits, `POST /verify`: field `password`.
#[derive(Template)]
#[template(path = "pages/finish_registration.html")]
pub struct FinishRegistration<'a> {
    pub shell: &'a Shell<'a>,
    pub email: &'a str,
    pub errors: Vec<FieldError>,
}

view!(FinishRegistration, title: |it, t| t.finish_registration_title(), errors: errors, script: true);

/// The first administrator, `GET` and `POST /setup`: fields `email`, `name`, `password`.
#[derive(Template)]
#[template(path = "pages/setup.html")]
pub struct SetUp<'a> {
    pub shell: &'a Shell<'a>,
    pub email: &'a str,
    pub name: &'a str,
    pub min_length: usize,
    pub errors: Vec<FieldError>,
}

view!(SetUp, title: |it, t| t.setup_title(), errors: errors, script: true);
