//! Invitations, for an administrator.

use super::super::Given;
use askama::Template;

use super::{Badge, GroupChoice};
use crate::clock::Timestamp;
use crate::http::pages::view::parts::{Check, Confirmation, Empty, Field, Pager};
use crate::http::pages::view::{AdminSection, FieldError, Language, Markup, Section, Shell, view};

const SECTION: Section = Section::Administration(AdminSection::Invitations);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Open,
    Used,
    Withdrawn,
    Expired,
}

/// An invitation in the list.
#[derive(Clone, Copy)]
pub struct InvitationRow<'a> {
    pub id: &'a str,
    pub state: State,
    pub email: Option<&'a str>,
    pub group: Option<&'a str>,
    pub is_mailed: bool,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// The address of the account that was made with it.
    pub used_by: Option<&'a str>,
}

impl InvitationRow<'_> {
    fn badge(&self, t: impl Given<Language>) -> Badge {
        let t = t.given();

        match self.state {
            State::Open => Badge::new("good", t.state_open()),
            State::Used => Badge::new("plain", t.state_used()),
            State::Withdrawn => Badge::new("plain", t.state_withdrawn()),
            State::Expired => Badge::new("plain", t.state_expired()),
        }
    }

    fn is_open(&self) -> bool {
        self.state == State::Open
    }
}

/// `GET /admin/invitations`.
#[derive(Template)]
#[template(path = "pages/admin/invitations.html")]
pub struct Invitations<'a> {
    pub shell: &'a Shell<'a>,
    pub invitations: Vec<InvitationRow<'a>>,
    /// With `registration = "closed"` no invitation can be used.
    pub is_registration_closed: bool,
    pub first_page: Option<&'a str>,
    pub next_page: Option<&'a str>,
}

view!(Invitations, title: |it, t| t.invitations(), section: SECTION, script: true);

impl Invitations<'_> {
    fn pager(&self) -> Pager<'_> {
        let t = self.shell.language;
        Pager {
            t,
            first: self.first_page,
            next: self.next_page,
            next_words: t.older(),
        }
    }
}

/// `GET` and `POST /admin/invitations/new`: fields `email`, `group` (empty for none), `days`, `mail` (`on` or absent).
#[derive(Template)]
#[template(path = "pages/admin/new_invitation.html")]
pub struct NewInvitation<'a> {
    pub shell: &'a Shell<'a>,
    pub email: &'a str,
    /// The group that was chosen, or empty.
    pub group: &'a str,
    pub groups: GroupChoice<'a>,
    /// The lifetime that was chosen, one of [`LIFETIMES`].
    pub days: u64,
    pub is_mailed: bool,
    pub sends_mail: bool,
    pub errors: Vec<FieldError>,
}

/// The lifetimes of an invitation that the page offers, in days.
pub const LIFETIMES: [u64; 4] = [1, 7, 30, 90];

impl NewInvitation<'_> {
    fn is_chosen(&self, group: &str) -> bool {
        self.group == group
    }
}

view!(NewInvitation, title: |it, t| t.new_invitation(), section: SECTION, errors: errors);

/// `GET` and `POST /admin/invitations/{id}/withdraw`.
#[derive(Template)]
#[template(path = "pages/confirmation.html")]
pub struct WithdrawInvitation<'a> {
    pub shell: &'a Shell<'a>,
    pub id: &'a str,
    pub email: Option<&'a str>,
}

view!(WithdrawInvitation, title: |it, t| t.confirm_withdraw_title(), section: SECTION);

impl WithdrawInvitation<'_> {
    fn confirmation(&self) -> Markup {
        let t = self.shell.language;
        Confirmation {
            shell: self.shell,
            t,
            action: &format!("/admin/invitations/{}/withdraw", self.id),
            subject: self.email,
            consequences: vec![t.confirm_withdraw_what().into()],
            buttons: vec![("", t.withdraw())],
            is_dangerous: true,
            typed: None,
            errors: &[],
            back: "/admin/invitations",
        }
        .markup()
    }
}
