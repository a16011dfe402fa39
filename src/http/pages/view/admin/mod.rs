//! The administration.

pub mod accounts;
pub mod groups;
pub mod invitations;
pub mod operations;

use askama::Template;

use super::parts::CopyField;
use super::{AdminSection, Language, Section, Shell, view};
use crate::clock::Timestamp;

/// `GET /admin`.
#[derive(Template)]
#[template(path = "pages/admin/overview.html")]
pub struct Overview<'a> {
    pub shell: &'a Shell<'a>,
    /// Accounts that are locked after wrong passwords.
    pub locked_accounts: u64,
    /// Messages whose last try failed.
    pub failing_messages: u64,
    /// Invitations that can be used.
    pub open_invitations: u64,
}

view!(Overview, title: |it, t| t.administration(), section: Section::Administration(AdminSection::Overview));

impl Overview<'_> {
    /// What needs attention: a path and words.
    fn attention(&self) -> Vec<(&'static str, String)> {
        let t = self.shell.language;
        let locked = (self.locked_accounts > 0)
            .then(|| ("/admin/locked", t.locked_count(self.locked_accounts)));
        let failing = (self.failing_messages > 0)
            .then(|| ("/admin/outbox", t.failing_messages(self.failing_messages)));
        locked.into_iter().chain(failing).collect()
    }

    /// The areas: path, title, what one does there.
    fn areas(&self) -> Vec<(&'static str, &'static str, String)> {
        let t = self.shell.language;
        let about = |section: AdminSection| match section {
            AdminSection::Overview => None,
            AdminSection::Accounts => Some(t.about_accounts()),
            AdminSection::Invitations => Some(t.about_invitations()),
            AdminSection::Groups => Some(t.about_groups()),
            AdminSection::Events => Some(t.about_events()),
            AdminSection::Outbox => Some(t.about_outbox()),
            AdminSection::Locked => Some(t.about_locked()),
            AdminSection::Keys => Some(t.about_keys()),
            AdminSection::Settings => Some(t.about_settings()),
        };
        let mut areas = Vec::new();
        for section in AdminSection::ALL {
            let Some(words) = about(section) else {
                continue;
            };
            let words = match (section, self.open_invitations) {
                (AdminSection::Invitations, 1..) => {
                    format!("{words} · {}", t.open_invitations(self.open_invitations))
                }
                _ => words.to_owned(),
            };
            areas.push((section.path(), section.title(t), words));
        }
        areas
    }
}

/// What a printed link does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// It lets the account owner choose a new password.
    Reset,
    /// It lets a person create an account.
    Invitation,
    /// It lets the owner of an account that was created just now choose its first password.
    FirstPassword,
}

/// A link that is shown once. Answer it with 200 to the POST that made it: a page that is loaded again must not show it.
#[derive(Template)]
#[template(path = "pages/admin/link.html")]
pub struct PrintedLink<'a> {
    pub shell: &'a Shell<'a>,
    pub kind: LinkKind,
    pub url: &'a str,
    /// For whom it is; `None` for an invitation for any address.
    pub email: Option<&'a str>,
    pub expires_at: Timestamp,
    /// Where "Done" leads.
    pub back: &'a str,
}

view!(PrintedLink, title: |it, t| match it.kind {
    LinkKind::Reset => t.link_reset_title(),
    LinkKind::Invitation => t.link_invitation_title(),
    LinkKind::FirstPassword => t.link_created_title(),
}, section: Section::Administration(match it.kind {
    LinkKind::Invitation => AdminSection::Invitations,
    LinkKind::Reset | LinkKind::FirstPassword => AdminSection::Accounts,
}), script: true);

/// A coloured word.
#[derive(Clone, Copy)]
pub struct Badge {
    pub class: &'static str,
    pub words: &'static str,
}

impl Badge {
    const fn new(class: &'static str, words: &'static str) -> Badge {
        Badge { class, words }
    }

    /// The badges of an account.
    fn of_account(
        t: Language,
        is_admin: bool,
        is_disabled: bool,
        is_locked: bool,
        is_email_confirmed: bool,
    ) -> Vec<Badge> {
        let mut badges = Vec::new();
        if is_admin {
            badges.push(Badge::new("accent", t.is_admin()));
        }
        if is_disabled {
            badges.push(Badge::new("bad", t.is_disabled()));
        }
        if is_locked {
            badges.push(Badge::new("warn", t.is_locked()));
        }
        if !is_email_confirmed {
            badges.push(Badge::new("plain", t.is_unconfirmed()));
        }
        badges
    }
}

/// The groups to choose from in a form.
#[derive(Clone, Copy)]
pub enum GroupChoice<'a> {
    /// So few that the form lists them.
    Listed(&'a [&'a str]),
    /// So many that the name is typed.
    Typed,
}

/// The most groups that a form lists: a page stays small, and a list of more is not read.
pub const MOST_LISTED_GROUPS: usize = 100;

impl<'a> GroupChoice<'a> {
    /// The choice among these.
    pub fn of(names: &'a [&'a str]) -> GroupChoice<'a> {
        match names.len() {
            0..=MOST_LISTED_GROUPS => GroupChoice::Listed(names),
            _ => GroupChoice::Typed,
        }
    }
}
