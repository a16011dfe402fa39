//! Accounts, for an administrator.

use super::super::Given;
use askama::Template;

use super::{Badge, GroupChoice};
use crate::clock::Timestamp;
use crate::http::pages::view::parts::{Check, Confirmation, Empty, Field, Pager};
use crate::http::pages::view::sessions::Session;
use crate::http::pages::view::{AdminSection, FieldError, Language, Markup, Section, Shell, view};

const SECTION: Section = Section::Administration(AdminSection::Accounts);

/// An account in a list.
#[derive(Clone, Copy)]
pub struct AccountRow<'a> {
    pub id: &'a str,
    pub email: &'a str,
    pub name: Option<&'a str>,
    pub username: Option<&'a str>,
    pub is_admin: bool,
    pub is_disabled: bool,
    pub is_locked: bool,
    pub is_email_confirmed: bool,
    pub created_at: Timestamp,
}

impl AccountRow<'_> {
    fn badges(&self, t: impl Given<Language>) -> Vec<Badge> {
        let t = t.given();

        Badge::of_account(
            t,
            self.is_admin,
            self.is_disabled,
            self.is_locked,
            self.is_email_confirmed,
        )
    }
}

/// Which accounts a list has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Status {
    #[default]
    All,
    Administrator,
    Disabled,
    Unverified,
}

impl Status {
    const ALL: [Status; 4] = [
        Status::All,
        Status::Administrator,
        Status::Disabled,
        Status::Unverified,
    ];

    /// Its name in the address of the list, which is empty for all accounts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::All => "",
            Status::Administrator => "administrator",
            Status::Disabled => "disabled",
            Status::Unverified => "unverified",
        }
    }

    /// The status of this name; all accounts for another name.
    pub fn read(name: &str) -> Status {
        let named = |status: &Status| status.as_str() == name;
        Status::ALL.into_iter().find(named).unwrap_or_default()
    }

    fn words(self, t: Language) -> &'static str {
        match self {
            Status::All => t.every_status(),
            Status::Administrator => t.is_admin(),
            Status::Disabled => t.is_disabled(),
            Status::Unverified => t.is_unconfirmed(),
        }
    }
}

/// `GET /admin/accounts`: query `q`, `status` and what the handler needs to page.
#[derive(Template)]
#[template(path = "pages/admin/accounts.html")]
pub struct Accounts<'a> {
    pub shell: &'a Shell<'a>,
    /// What is searched for, or empty.
    pub query: &'a str,
    pub status: Status,
    /// At most about 25.
    pub accounts: Vec<AccountRow<'a>>,
    /// Whether the search reached its bound before the end.
    pub is_cut: bool,
    pub first_page: Option<&'a str>,
    pub next_page: Option<&'a str>,
    /// For instance that the text to search for is too long.
    pub errors: Vec<FieldError>,
}

view!(Accounts, title: |it, t| t.accounts(), section: SECTION, errors: errors, script: true);

impl Accounts<'_> {
    /// Whether the list has all accounts.
    fn is_whole(&self) -> bool {
        self.query.is_empty() && self.status == Status::All
    }

    /// The states to choose from: name, words, whether it is chosen.
    fn states(&self) -> Vec<(&'static str, &'static str, bool)> {
        let t = self.shell.language;
        let choice = |status: Status| (status.as_str(), status.words(t), status == self.status);
        Status::ALL.into_iter().map(choice).collect()
    }

    fn pager(&self) -> Pager<'_> {
        let t = self.shell.language;
        Pager {
            t,
            first: self.first_page,
            next: self.next_page,
            next_words: t.next_page(),
        }
    }
}

/// `GET` and `POST /admin/accounts/new`: fields `email`, `name`, `username`, `is_admin` (`on` or absent), `password` (may be
/// empty: then a link is printed).
#[derive(Template)]
#[template(path = "pages/admin/new_account.html")]
pub struct NewAccount<'a> {
    pub shell: &'a Shell<'a>,
    pub email: &'a str,
    pub name: &'a str,
    pub username: &'a str,
    pub is_admin: bool,
    pub errors: Vec<FieldError>,
}

view!(NewAccount, title: |it, t| t.create_account_title(), section: SECTION, errors: errors, script: true);

/// The password of an account, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordState {
    None,
    Temporary,
    Set,
}

/// `GET /admin/accounts/{id}`.
///
/// Its forms post to `/admin/accounts/{id}/enable`, `…/unlock`, `…/end-session` (field `session`), `…/groups/add` and
/// `…/groups/remove` (field `group`). Its links lead to the page `…/change` with the names, to the pages `…/promote`,
/// `…/demote`, `…/disable`, `…/end-sessions`, `…/reset-link` and `…/delete`, which say what will happen, and to
/// `/admin/events?account={id}`.
#[derive(Template)]
#[template(path = "pages/admin/account.html")]
pub struct AccountDetails<'a> {
    pub shell: &'a Shell<'a>,
    pub account: AccountRow<'a>,
    pub pending_email: Option<&'a str>,
    pub password: PasswordState,
    pub disabled_at: Option<Timestamp>,
    pub locked_until: Option<Timestamp>,
    pub last_sign_in_at: Option<Timestamp>,
    /// At most about 20; [`session_count`](Self::session_count) says how many there are.
    pub sessions: Vec<Session<'a>>,
    pub session_count: u64,
    pub groups: Vec<&'a str>,
    /// Groups that it can be added to.
    pub other_groups: GroupChoice<'a>,
    /// The group that was chosen, or empty.
    pub group: &'a str,
    /// Whether it is the account of the reader, who cannot disable, delete or demote it here.
    pub is_own: bool,
    /// The only administrator can be neither disabled, deleted nor demoted.
    pub is_last_admin: bool,
    /// For instance that the account is in too many groups.
    pub errors: Vec<FieldError>,
}

view!(AccountDetails, title: |it, t| it.account.email, section: SECTION, errors: errors, script: true);

impl AccountDetails<'_> {
    /// Whether it can be disabled, deleted and, if it is an administrator, demoted.
    fn is_removable(&self) -> bool {
        !self.is_own && !self.is_last_admin
    }
}

/// `GET` and `POST /admin/accounts/{id}/change`: fields `name`, `username`.
#[derive(Template)]
#[template(path = "pages/admin/change_account.html")]
pub struct ChangeAccount<'a> {
    pub shell: &'a Shell<'a>,
    pub id: &'a str,
    pub email: &'a str,
    pub name: &'a str,
    pub username: &'a str,
    pub errors: Vec<FieldError>,
}

view!(ChangeAccount, title: |it, t| t.change_names_title(), section: SECTION, errors: errors);

/// What an administrator is about to do to an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// `GET` and `POST /admin/accounts/{id}/promote`.
    Promote,
    /// `…/demote`.
    Demote,
    /// `GET` and `POST /admin/accounts/{id}/disable`.
    Disable,
    /// `…/end-sessions`.
    EndSessions,
    /// `…/reset-link`: field `choice`, `show` or `mail`.
    ResetLink,
    /// `…/delete`: field `typed`, the e-mail address.
    Delete,
}

impl Action {
    fn path(self) -> &'static str {
        match self {
            Action::Promote => "promote",
            Action::Demote => "demote",
            Action::Disable => "disable",
            Action::EndSessions => "end-sessions",
            Action::ResetLink => "reset-link",
            Action::Delete => "delete",
        }
    }
}

/// The page that says what will happen.
#[derive(Template)]
#[template(path = "pages/confirmation.html")]
pub struct ConfirmAction<'a> {
    pub shell: &'a Shell<'a>,
    pub action: Action,
    pub id: &'a str,
    pub email: &'a str,
    /// Sessions that end.
    pub sessions: u64,
    pub sends_mail: bool,
    /// What was typed before.
    pub typed: &'a str,
    pub errors: Vec<FieldError>,
}

view!(ConfirmAction, title: |it, t| match it.action {
    Action::Promote => t.confirm_promote_title(),
    Action::Demote => t.confirm_demote_title(),
    Action::Disable => t.confirm_disable_title(),
    Action::EndSessions => t.confirm_end_title(),
    Action::ResetLink => t.confirm_reset_title(),
    Action::Delete => t.confirm_delete_title(),
}, section: SECTION, errors: errors);

impl ConfirmAction<'_> {
    fn confirmation(&self) -> Markup {
        let t = self.shell.language;
        let back = format!("/admin/accounts/{}", self.id);
        let mut consequences: Vec<String> = match self.action {
            Action::Promote => vec![t.confirm_promote_what().into()],
            Action::Demote => vec![t.confirm_demote_what().into()],
            Action::Disable => vec![t.confirm_disable_what().into()],
            Action::EndSessions => vec![t.confirm_end_what().into()],
            Action::ResetLink => {
                vec![t.confirm_reset_what().into(), t.confirm_reset_ends().into()]
            }
            Action::Delete => vec![
                t.confirm_delete_data().into(),
                t.delete_apps().into(),
                t.delete_for_good().into(),
                t.confirm_delete_alternative().into(),
            ],
        };
        let ends_sessions = matches!(
            self.action,
            Action::Disable | Action::EndSessions | Action::Delete
        );
        if ends_sessions && self.sessions > 0 {
            consequences.insert(1, t.confirm_ends_sessions(self.sessions));
        }
        let buttons = match self.action {
            Action::Promote => vec![("", t.promote())],
            Action::Demote => vec![("", t.demote())],
            Action::Disable => vec![("", t.disable())],
            Action::EndSessions => vec![("", t.end_sessions())],
            Action::ResetLink if self.sends_mail => {
                vec![("mail", t.reset_mail()), ("show", t.reset_show())]
            }
            Action::ResetLink => vec![("show", t.reset_show())],
            Action::Delete => vec![("", t.delete_button())],
        };
        Confirmation {
            shell: self.shell,
            t,
            action: &format!("{back}/{}", self.action.path()),
            subject: Some(self.email),
            consequences,
            buttons,
            is_dangerous: !matches!(self.action, Action::ResetLink | Action::Promote),
            typed: (self.action == Action::Delete).then_some((self.email, self.typed)),
            errors: &self.errors,
            back: &back,
        }
        .markup()
    }
}
