//! A forgotten password, and links that confirm an address.

use askama::Template;

use super::parts::Field;
use super::{FieldError, Shell, view};

/// `GET` and `POST /forgot`: field `email`.
#[derive(Template)]
#[template(path = "pages/forgot.html")]
pub struct Forgot<'a> {
    pub shell: &'a Shell<'a>,
    pub email: &'a str,
    pub errors: Vec<FieldError>,
}

view!(Forgot, title: |it, t| t.forgot_title(), errors: errors);

/// After it: the same for an address with an account and for one without.
#[derive(Template)]
#[template(path = "pages/forgot_sent.html")]
pub struct ForgotSent<'a> {
    pub shell: &'a Shell<'a>,
    pub email: &'a str,
}

view!(ForgotSent, title: |it, t| t.check_mail_title());

/// `GET` and `POST /reset`: field `new_password`.
#[derive(Template)]
#[template(path = "pages/reset.html")]
pub struct Reset<'a> {
    pub shell: &'a Shell<'a>,
    /// The address of the account, for the reader and for password managers; `None` where the handler does not know it.
    pub email: Option<&'a str>,
    pub min_length: usize,
    pub errors: Vec<FieldError>,
}

view!(Reset, title: |it, t| t.reset_title(), errors: errors, script: true);

/// After it.
#[derive(Template)]
#[template(path = "pages/reset_done.html")]
pub struct ResetDone<'a> {
    pub shell: &'a Shell<'a>,
}

view!(ResetDone, title: |it, t| t.reset_done_title());

/// What a link to `/verify` confirms.
#[derive(Clone, Copy)]
pub enum Confirms<'a> {
    /// That the account owner reads mail at this address.
    Address(&'a str),
    /// A change of address.
    Change { old: &'a str, new: &'a str },
}

/// `GET /verify`: a button that posts to `/verify`.
#[derive(Template)]
#[template(path = "pages/verify.html")]
pub struct Verify<'a> {
    pub shell: &'a Shell<'a>,
    /// `None` where the handler does not know it: the page then only asks.
    pub confirms: Option<Confirms<'a>>,
}

view!(Verify, title: |it, t| match it.confirms {
    Some(Confirms::Change { .. }) => t.verify_change_title(),
    _ => t.verify_title(),
});

/// What came of it.
#[derive(Clone, Copy)]
pub enum Outcome<'a> {
    /// The address of the account is confirmed.
    Verified { email: Option<&'a str> },
    /// A change of address waits for the other link, in the message to `missing_at`.
    HalfConfirmed { missing_at: &'a str },
    /// The address of the account is now this one.
    Changed { email: &'a str },
}

/// After `POST /verify`.
#[derive(Template)]
#[template(path = "pages/verified.html")]
pub struct Verified<'a> {
    pub shell: &'a Shell<'a>,
    pub outcome: Outcome<'a>,
}

view!(Verified, title: |it, t| match it.outcome {
    Outcome::Verified { .. } => t.verified_title(),
    Outcome::HalfConfirmed { .. } => t.half_confirmed_title(),
    Outcome::Changed { .. } => t.email_changed_title(),
});
