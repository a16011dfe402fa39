//! Invitations.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{PAGE, administration, next_page};
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::field_errors::of_fields;
use crate::http::pages::view::admin::invitations::{
    InvitationRow, Invitations, LIFETIMES, NewInvitation as NewInvitationPage, State,
    WithdrawInvitation,
};
use crate::http::pages::view::admin::{LinkKind, PrintedLink};
use crate::http::pages::view::{FieldError, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::policy::Registration;
use crate::service::{Browser, Code, Error, Invitation, NewInvitation};

const INVITATIONS: &str = "/admin/invitations";

/// A day, in seconds.
const DAY: u64 = 24 * 60 * 60;

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Page {
    /// How many invitations come before this page.
    #[serde(default)]
    after: usize,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct InviteForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    days: String,
    mail: Option<String>,
}

impl InviteForm {
    /// The lifetime that was chosen; a week, if it is not one of those that the page offers.
    fn days(&self) -> u64 {
        let chosen = self.days.parse().ok();
        chosen.filter(|days| LIFETIMES.contains(days)).unwrap_or(7)
    }
}

fn shown<'a>(id: &'a str, invitation: &'a Invitation) -> InvitationRow<'a> {
    InvitationRow {
        id,
        state: match invitation.state {
            "open" => State::Open,
            "used" => State::Used,
            "withdrawn" => State::Withdrawn,
            _ => State::Expired,
        },
        email: invitation.email.as_deref(),
        group: invitation.group.as_deref(),
        is_mailed: invitation.is_mailed,
        created_at: invitation.created_at,
        expires_at: invitation.expires_at,
        used_by: invitation.used_by.as_deref(),
    }
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    _: &Browser,
    Query(page): Query<Page>,
) -> Result<Response, HttpError> {
    let authd = visitor.call.authd;
    let all = authd.invitations()?;
    let invitations: Vec<&Invitation> = all.iter().skip(page.after).take(PAGE as usize).collect();
    let ids: Vec<String> = invitations.iter().map(|one| one.id.to_string()).collect();
    let next = page.after.saturating_add(PAGE as usize);
    let next =
        (next < all.len()).then(|| next_page(INVITATIONS, &[], ("after", &next.to_string())));
    Ok(visitor.show(&Invitations {
        shell: &visitor.shell(),
        invitations: std::iter::zip(&ids, invitations)
            .map(|(id, invitation)| shown(id, invitation))
            .collect(),
        is_registration_closed: authd.policy().registration == Registration::Closed,
        first_page: (page.after > 0).then_some(INVITATIONS),
        next_page: next.as_deref(),
    }))
}

pub(in crate::http) fn show_new(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let form = InviteForm {
        email: String::new(),
        group: String::new(),
        days: String::new(),
        mail: None,
    };
    show_form(visitor, &form, Vec::new())
}

fn show_form(
    visitor: &Visitor<'_>,
    form: &InviteForm,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let authd = visitor.call.authd;
    let groups = authd.groups()?;
    Ok(visitor.show(&NewInvitationPage {
        shell: &visitor.shell(),
        email: &form.email,
        group: &form.group,
        groups: groups.iter().map(|group| group.name.as_str()).collect(),
        days: form.days(),
        is_mailed: form.mail.is_some(),
        sends_mail: authd.policy().sends_mail,
        errors,
    }))
}

/// Creates an invitation, and mails it or shows its link once.
pub(in crate::http) fn create(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<InviteForm>,
) -> Result<Response, HttpError> {
    let (authd, t) = (visitor.call.authd, visitor.language);
    let email = Some(form.email.trim()).filter(|email| !email.is_empty());
    let mut errors = email.map_or(Vec::new(), |email| of_fields(t, Some(email), None, None));
    if form.mail.is_some() && email.is_none() {
        errors.push(FieldError::new("email", t.error_email_needed_for_mail()));
    }
    if !errors.is_empty() {
        return show_form(visitor, &form, errors);
    }
    let invited = administration(visitor, browser)?.invite(&NewInvitation {
        email: email.map(str::to_owned),
        group: Some(form.group.clone()).filter(|group| !group.is_empty()),
        lifetime: Duration::from_secs(form.days() * DAY),
        is_mailed: form.mail.is_some(),
    });
    let invited = match invited {
        Ok(invited) => invited,
        Err(Error::No(Code::EmailTaken, _)) => {
            let errors = vec![FieldError::new("email", t.error_email_taken())];
            return show_form(visitor, &form, errors);
        }
        Err(error) => return Err(error.into()),
    };
    let Some(token) = invited.token else {
        return Ok(visitor.go_with(INVITATIONS, Notice::InvitationMailed));
    };
    let issuer = &authd.policy().issuer;
    Ok(visitor.show(&PrintedLink {
        shell: &visitor.shell(),
        kind: LinkKind::Invitation,
        url: &format!("{issuer}/register?invite={token}"),
        email: invited.invitation.email.as_deref(),
        expires_at: invited.invitation.expires_at,
        back: INVITATIONS,
    }))
}

pub(in crate::http) fn ask_withdraw(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let id = visitor.call.parameters[0];
    let all = visitor.call.authd.invitations()?;
    let found = all.iter().find(|one| one.id.to_string() == id);
    let found = found.ok_or_else(|| HttpError::not_found("There is no such invitation."))?;
    Ok(visitor.show(&WithdrawInvitation {
        shell: &visitor.shell(),
        id,
        email: found.email.as_deref(),
    }))
}

pub(in crate::http) fn withdraw(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let id = visitor.call.parameters[0].parse();
    let id = id.map_err(|_| HttpError::not_found("There is no such invitation."))?;
    administration(visitor, browser)?.withdraw_invitation(id)?;
    Ok(visitor.go_with(INVITATIONS, Notice::InvitationWithdrawn))
}
