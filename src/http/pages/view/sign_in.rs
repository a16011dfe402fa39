//! Signing in, and confirming a password again.

use askama::Template;

use super::parts::{Check, Field};
use super::{FieldError, Shell, view};

/// `GET` and `POST /login`: fields `login`, `password`, `keep_signed_in` (`on` or absent), `return_to`.
#[derive(Template)]
#[template(path = "pages/sign_in.html")]
pub struct SignIn<'a> {
    pub shell: &'a Shell<'a>,
    pub login: &'a str,
    pub keeps_signed_in: bool,
    /// The path to go on to, or empty.
    pub return_to: &'a str,
    /// Whether the page offers to create an account.
    pub is_registration_open: bool,
    pub errors: Vec<FieldError>,
}

view!(SignIn, title: |it, t| t.sign_in_title(it.shell.brand), errors: errors, script: true);

/// The second step with a temporary password, `POST /login/new-password`: field `new_password`, and those that the sign-in
/// form had except the password. How the first step is remembered is up to the handler.
#[derive(Template)]
#[template(path = "pages/choose_password.html")]
pub struct ChoosePassword<'a> {
    pub shell: &'a Shell<'a>,
    /// The login, for password managers.
    pub login: &'a str,
    pub keeps_signed_in: bool,
    pub return_to: &'a str,
    pub min_length: usize,
    pub errors: Vec<FieldError>,
}

view!(ChoosePassword, title: |it, t| t.choose_password_title(), errors: errors, script: true);

/// What a password is asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    ChangeEmail,
    DeleteAccount,
    Administer,
    SignInToApp,
}

/// Step-up, `GET` and `POST /confirm`: fields `password`, `purpose`, `return_to`.
#[derive(Template)]
#[template(path = "pages/step_up.html")]
pub struct StepUp<'a> {
    pub shell: &'a Shell<'a>,
    pub email: &'a str,
    pub purpose: Purpose,
    /// The stable name of the purpose, for the form.
    pub purpose_name: &'a str,
    pub return_to: &'a str,
    /// Where "Cancel" leads.
    pub back: &'a str,
    pub errors: Vec<FieldError>,
}

view!(StepUp, title: |it, t| t.step_up_title(), errors: errors, script: true);

impl StepUp<'_> {
    fn reason(&self) -> &'static str {
        let t = self.shell.language;
        match self.purpose {
            Purpose::ChangeEmail => t.step_up_email(),
            Purpose::DeleteAccount => t.step_up_deletion(),
            Purpose::Administer => t.step_up_administration(),
            Purpose::SignInToApp => t.step_up_sign_in(),
        }
    }
}
