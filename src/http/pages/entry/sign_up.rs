//! Creating an account: by registration, by invitation, and the first one by the set-up link.

use schemars::JsonSchema;
use serde::Deserialize;

use super::link::Link;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::field_errors::{of_account, of_fields};
use crate::http::pages::view::message::{About, DeadLink};
use crate::http::pages::view::sign_up::{CheckMail, Invitation, Register, SetUp};
use crate::http::pages::view::{FieldError, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::pages::visitor::return_address::HOME;
use crate::http::response::Response;
use crate::service::{
    BrowserWanted, Code, Error, LinkSubject, NewAccount, Registered, Registration,
};

const REGISTER: &str = "/register";
const SETUP: &str = "/setup";

/// The form of a new account.
#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::http) struct NewAccountForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

impl NewAccountForm {
    fn account(&self, admin: bool) -> NewAccount {
        let given = |text: &str| (!text.trim().is_empty()).then(|| text.to_owned());
        NewAccount {
            email: self.email.clone(),
            username: given(&self.username),
            name: given(&self.name),
            admin,
            temporary: false,
        }
    }

    fn errors(&self, visitor: &Visitor<'_>) -> Vec<FieldError> {
        of_fields(
            visitor.language,
            Some(&self.email),
            Some(&self.username),
            Some(&self.name),
        )
    }
}

/// What the visitor's invitation gives.
struct Invited {
    token: String,
    email: Option<String>,
    group: Option<String>,
}

/// Why nobody can register here now.
enum Refusal {
    Closed,
    InvitationNeeded,
    DeadInvitation,
}

impl Refusal {
    fn page(&self, visitor: &Visitor<'_>) -> Response {
        match self {
            Refusal::Closed => visitor.show_message(403, About::RegistrationClosed),
            Refusal::InvitationNeeded => visitor.show_message(403, About::InvitationNeeded),
            Refusal::DeadInvitation => {
                visitor.show_message(403, About::LinkDead(DeadLink::Invitation))
            }
        }
    }
}

/// The visitor's invitation, if there is one; or why the visitor cannot register.
fn invitation(visitor: &Visitor<'_>) -> Result<Result<Option<Invited>, Refusal>, HttpError> {
    let call = visitor.call;
    let registration = call.authd.policy().registration;
    let token = visitor.cookies.link(call.request);
    let (Some(token), false) = (token, registration == Registration::Closed) else {
        return Ok(match registration {
            Registration::Closed => Err(Refusal::Closed),
            Registration::Invite => Err(Refusal::InvitationNeeded),
            Registration::Open => Ok(None),
        });
    };
    Ok(match call.authd.link_subject(token)? {
        Some(LinkSubject::Invitation { email, group }) => Ok(Some(Invited {
            token: token.to_owned(),
            email,
            group,
        })),
        _ => Err(Refusal::DeadInvitation),
    })
}

pub(in crate::http) fn show_register(
    visitor: &Visitor<'_>,
    Query(link): Query<Link>,
) -> Result<Response, HttpError> {
    if let Some(response) = link.take(visitor, REGISTER) {
        return Ok(response);
    }
    match invitation(visitor)? {
        Ok(invited) => Ok(show_register_form(
            visitor,
            invited.as_ref(),
            &NewAccountForm::default(),
            Vec::new(),
        )),
        Err(refusal) => Ok(refusal.page(visitor)),
    }
}

fn show_register_form(
    visitor: &Visitor<'_>,
    invited: Option<&Invited>,
    form: &NewAccountForm,
    errors: Vec<FieldError>,
) -> Response {
    visitor.show(&Register {
        shell: &visitor.shell(),
        invitation: invited.map(|invited| Invitation {
            from: None,
            email: invited.email.as_deref(),
            group: invited.group.as_deref(),
        }),
        email: &form.email,
        name: &form.name,
        username: &form.username,
        min_length: visitor.call.authd.policy().password.min_length(),
        errors,
    })
}

pub(in crate::http) fn register(
    visitor: &Visitor<'_>,
    Form(mut form): Form<NewAccountForm>,
) -> Result<Response, HttpError> {
    let invited = match invitation(visitor)? {
        Ok(invited) => invited,
        Err(refusal) => return Ok(refusal.page(visitor)),
    };
    if let Some(email) = invited.as_ref().and_then(|invited| invited.email.as_ref()) {
        form.email.clone_from(email);
    }
    let errors = form.errors(visitor);
    if !errors.is_empty() {
        return Ok(show_register_form(visitor, invited.as_ref(), &form, errors));
    }
    let call = visitor.call;
    let wanted = BrowserWanted {
        keep: false,
        present: visitor.present_cookie(),
    };
    let token = invited.as_ref().map(|invited| invited.token.as_str());
    let registered = call.authd.register_in_browser(
        form.account(false),
        &form.password,
        token,
        wanted,
        &call.device,
    );
    let response = match registered {
        Ok(Registered::SignedIn(cookie)) => {
            let response = visitor.go_with(HOME, Notice::SignedIn);
            visitor.with_session(response, &cookie)
        }
        Ok(Registered::Waiting) => visitor.show(&CheckMail {
            shell: &visitor.shell(),
            email: &form.email,
        }),
        Err(Error::No(Code::InvalidInvitation, _)) => {
            return Ok(Refusal::DeadInvitation.page(visitor));
        }
        Err(error) => {
            let errors = of_account(visitor.language, error)?;
            return Ok(show_register_form(visitor, invited.as_ref(), &form, errors));
        }
    };
    Ok(response.header("set-cookie", visitor.cookies.remove_link(REGISTER)))
}

pub(in crate::http) fn show_setup(
    visitor: &Visitor<'_>,
    Query(link): Query<Link>,
) -> Result<Response, HttpError> {
    if !visitor.call.authd.awaits_setup()? {
        return Ok(visitor.show_message(404, About::AlreadySetUp));
    }
    if let Some(response) = link.take(visitor, SETUP) {
        return Ok(response);
    }
    Ok(show_setup_form(
        visitor,
        &NewAccountForm::default(),
        Vec::new(),
    ))
}

fn show_setup_form(
    visitor: &Visitor<'_>,
    form: &NewAccountForm,
    errors: Vec<FieldError>,
) -> Response {
    if visitor.cookies.link(visitor.call.request).is_none() {
        return visitor.show_message(403, About::LinkDead(DeadLink::SetUp));
    }
    visitor.show(&SetUp {
        shell: &visitor.shell(),
        email: &form.email,
        name: &form.name,
        min_length: visitor.call.authd.policy().password.min_length(),
        errors,
    })
}

pub(in crate::http) fn set_up(
    visitor: &Visitor<'_>,
    Form(form): Form<NewAccountForm>,
) -> Result<Response, HttpError> {
    let errors = form.errors(visitor);
    if !errors.is_empty() {
        return Ok(show_setup_form(visitor, &form, errors));
    }
    let call = visitor.call;
    let token = visitor.cookies.link(call.request).unwrap_or_default();
    let wanted = BrowserWanted {
        keep: false,
        present: visitor.present_cookie(),
    };
    let account = form.account(true);
    match call
        .authd
        .set_up_in_browser(token, account, &form.password, wanted, &call.device)
    {
        Ok(cookie) => {
            let response = visitor.go_with(HOME, Notice::SignedIn);
            Ok(visitor
                .with_session(response, &cookie)
                .header("set-cookie", visitor.cookies.remove_link(SETUP)))
        }
        Err(Error::No(Code::InvalidSetupToken, _)) => {
            Ok(visitor.show_message(403, About::LinkDead(DeadLink::SetUp)))
        }
        Err(error) => {
            let errors = of_account(visitor.language, error)?;
            Ok(show_setup_form(visitor, &form, errors))
        }
    }
}
