//! Invitations: make one, and withdraw one.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Place, group_names};
use crate::http::api::admin::PathInvitation;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::field_errors::of_fields;
use crate::http::pages::view::admin::invitations::{
    InvitationRow, Invitations, LIFETIMES, NewInvitation as NewInvitationPage, State,
    WithdrawInvitation,
};
use crate::http::pages::view::admin::{GroupChoice, LinkKind, PrintedLink};
use crate::http::pages::view::{FieldError, Language, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{
    Administration, Code, Error, Invitation, Invited, NewInvitation, Registration,
};

const INVITATIONS: &str = "/admin/invitations";

/// The lifetime that the page proposes, in days.
const USUAL_LIFETIME: u64 = 7;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct InvitationForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    group: String,
    #[serde(default = "usual_lifetime")]
    days: u64,
    mail: Option<String>,
}

fn usual_lifetime() -> u64 {
    USUAL_LIFETIME
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Query(place): Query<Place>,
) -> Result<Response, HttpError> {
    let authd = administration.authd();
    let invitations = authd.invitations()?;
    let next = place.next(INVITATIONS, invitations.len());
    let first = place.first(INVITATIONS);
    let shown = place.of(invitations);
    let ids: Vec<String> = shown.iter().map(|it| it.id.to_string()).collect();
    Ok(visitor.show(&Invitations {
        shell: &visitor.shell(),
        invitations: std::iter::zip(&ids, &shown)
            .map(|(id, invitation)| row(id, invitation))
            .collect(),
        is_registration_closed: authd.policy().registration == Registration::Closed,
        first_page: first,
        next_page: next.as_deref(),
    }))
}

fn row<'a>(id: &'a str, invitation: &'a Invitation) -> InvitationRow<'a> {
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

pub(in crate::http) fn show_new(
    visitor: &Visitor<'_>,
    _: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let form = InvitationForm {
        email: String::new(),
        group: String::new(),
        days: USUAL_LIFETIME,
        mail: None,
    };
    show_form(visitor, &form, Vec::new())
}

fn show_form(
    visitor: &Visitor<'_>,
    form: &InvitationForm,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let names = group_names(visitor)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(visitor.show(&NewInvitationPage {
        shell: &visitor.shell(),
        email: &form.email,
        group: &form.group,
        groups: GroupChoice::of(&names),
        days: form.days,
        is_mailed: form.mail.is_some(),
        sends_mail: visitor.call.authd.policy().sends_mail,
        errors,
    }))
}

/// Makes an invitation: its link is in the answer, this once, or is mailed.
pub(in crate::http) fn create(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Form(form): Form<InvitationForm>,
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let errors = errors_of(t, &form);
    if !errors.is_empty() {
        return show_form(visitor, &form, errors);
    }
    let given = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    let days = u32::try_from(form.days).unwrap_or(u32::MAX);
    let invited = administration.invite(&NewInvitation {
        email: given(&form.email),
        group: given(&form.group),
        lifetime: DAY.saturating_mul(days),
        is_mailed: form.mail.is_some(),
    });
    match invited {
        Ok(invited) => Ok(show_invited(visitor, &invited)),
        Err(error) => show_form(visitor, &form, refusal(t, error)?),
    }
}

/// What is wrong with the form, before the service is asked.
fn errors_of(t: Language, form: &InvitationForm) -> Vec<FieldError> {
    match (form.email.trim(), &form.mail) {
        ("", Some(_)) => vec![FieldError::new("email", t.error_email_needed_for_mail())],
        ("", None) => Vec::new(),
        (email, _) => of_fields(t, Some(email), None, None),
    }
}

fn refusal(t: Language, error: Error) -> Result<Vec<FieldError>, HttpError> {
    let (field, text) = match error {
        Error::No(Code::EmailTaken, _) => ("email", t.error_email_taken()),
        Error::No(Code::NotFound, _) => ("group", t.error_no_such_group()),
        Error::No(Code::RegistrationClosed, _) => ("", t.invitations_closed()),
        Error::No(Code::NoMail, _) => ("", t.error_no_mail()),
        // The address and the lifetime were checked before.
        Error::No(Code::InvalidRequest, _) => ("", t.error_too_many_invitations()),
        other => return Err(other.into()),
    };
    Ok(vec![FieldError::new(field, text)])
}

fn show_invited(visitor: &Visitor<'_>, invited: &Invited) -> Response {
    let Some(token) = &invited.token else {
        return visitor.go_with(INVITATIONS, Notice::InvitationMailed);
    };
    let issuer = &visitor.call.authd.policy().issuer;
    visitor.show(&PrintedLink {
        shell: &visitor.shell(),
        kind: LinkKind::Invitation,
        url: &format!("{issuer}/register?invite={token}"),
        email: invited.invitation.email.as_deref(),
        expires_at: invited.invitation.expires_at,
        back: INVITATIONS,
    })
}

pub(in crate::http) fn show_withdraw(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathInvitation(id): PathInvitation,
) -> Result<Response, HttpError> {
    let invitations = administration.authd().invitations()?;
    let found = invitations.iter().find(|it| it.id == id);
    match found.filter(|it| it.state == "open") {
        Some(invitation) => Ok(visitor.show(&WithdrawInvitation {
            shell: &visitor.shell(),
            id: &id.to_string(),
            email: invitation.email.as_deref(),
        })),
        None => Ok(visitor.go_with(INVITATIONS, Notice::InvitationGone)),
    }
}

pub(in crate::http) fn withdraw(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathInvitation(id): PathInvitation,
) -> Result<Response, HttpError> {
    match administration.withdraw_invitation(id) {
        Ok(_) => Ok(visitor.go_with(INVITATIONS, Notice::InvitationWithdrawn)),
        Err(Error::No(Code::NotFound, _)) => {
            Ok(visitor.go_with(INVITATIONS, Notice::InvitationGone))
        }
        Err(error) => Err(error.into()),
    }
}

/// The lifetimes that the page offers are those that the service accepts.
const _: () = {
    let [shortest, .., longest] = LIFETIMES;
    assert!(shortest * DAY.as_secs() >= NewInvitation::SHORTEST.as_secs());
    assert!(longest * DAY.as_secs() <= NewInvitation::LONGEST.as_secs());
};
