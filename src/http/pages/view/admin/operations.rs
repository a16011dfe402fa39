//! What an administrator sees of the server: events, outgoing mail, locked accounts, keys, settings.

use super::super::Given;
use askama::Template;

use super::Badge;
use crate::clock::Timestamp;
use crate::http::pages::view::activity::{Event, EventList, words_for};
use crate::http::pages::view::parts::{Confirmation, Empty, Field, Pager};
use crate::http::pages::view::{AdminSection, FieldError, Language, Markup, Section, Shell, view};

const fn section(section: AdminSection) -> Section {
    Section::Administration(section)
}

/// `GET /admin/events`: query `account` (a login or an id), `kind`, `ip`, and what the handler needs to page.
#[derive(Template)]
#[template(path = "pages/admin/events.html")]
pub struct Events<'a> {
    pub shell: &'a Shell<'a>,
    /// The filters, or empty.
    pub account: &'a str,
    pub kind: &'a str,
    pub ip: &'a str,
    /// The stable names of all kinds.
    pub all_kinds: &'a [&'static str],
    /// Newest first, at most about 25.
    pub events: Vec<Event<'a>>,
    pub first_page: Option<&'a str>,
    pub older: Option<&'a str>,
    /// For instance that there is no such account.
    pub errors: Vec<FieldError>,
}

view!(Events, title: |it, t| t.events(), section: section(AdminSection::Events), errors: errors, script: true);

impl Events<'_> {
    fn list(&self) -> EventList<'_> {
        EventList {
            shell: self.shell,
            t: self.shell.language,
            events: &self.events,
        }
    }

    /// The kinds to choose from: name, words, whether it is chosen.
    fn kinds(&self) -> Vec<(&'static str, &'static str, bool)> {
        let t = self.shell.language;
        let mut kinds: Vec<_> = self
            .all_kinds
            .iter()
            .filter_map(|kind| Some((*kind, words_for(kind, t)?.0, *kind == self.kind)))
            .collect();
        kinds.sort_by_key(|(_, words, _)| *words);
        kinds
    }

    fn pager(&self) -> Pager<'_> {
        let t = self.shell.language;
        Pager {
            t,
            first: self.first_page,
            next: self.older,
            next_words: t.older(),
        }
    }
}

/// A message that has not left yet.
#[derive(Clone, Copy)]
pub struct OutboxRow<'a> {
    pub id: &'a str,
    /// The stable name of what it is about.
    pub topic: &'a str,
    /// Where it goes; `None` where the address is looked up when it leaves.
    pub to: Option<&'a str>,
    pub created_at: Timestamp,
    pub attempts: u64,
    pub due_at: Timestamp,
    /// What the mail server answered to the last try.
    pub failure: Option<&'a str>,
}

impl OutboxRow<'_> {
    fn topic_words(&self, t: impl Given<Language>) -> String {
        let t = t.given();

        let words = match self.topic {
            "password_reset" => t.topic_password_reset(),
            "email_verification" => t.topic_email_verification(),
            "email_change_present" => t.topic_email_change_present(),
            "email_change_new" => t.topic_email_change_new(),
            "registration" => t.topic_registration(),
            "already_registered" => t.topic_already_registered(),
            "password_changed" => t.topic_password_changed(),
            "email_changed" => t.topic_email_changed(),
            "account_deleted" => t.topic_account_deleted(),
            "many_failures" => t.topic_many_failures(),
            "invitation" => t.topic_invitation(),
            other => return other.replace('_', " "),
        };
        words.to_owned()
    }
}

/// `GET /admin/outbox`. The buttons post `message` (an id) to `/admin/outbox/send`, and lead to
/// `/admin/outbox/{id}/delete`.
#[derive(Template)]
#[template(path = "pages/admin/outbox.html")]
pub struct Outbox<'a> {
    pub shell: &'a Shell<'a>,
    pub messages: Vec<OutboxRow<'a>>,
    pub sends_mail: bool,
    pub first_page: Option<&'a str>,
    pub next_page: Option<&'a str>,
}

view!(Outbox, title: |it, t| t.outbox(), section: section(AdminSection::Outbox), script: true);

impl Outbox<'_> {
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

/// `GET` and `POST /admin/outbox/{id}/delete`.
#[derive(Template)]
#[template(path = "pages/confirmation.html")]
pub struct DeleteMessage<'a> {
    pub shell: &'a Shell<'a>,
    pub message: OutboxRow<'a>,
}

view!(DeleteMessage, title: |it, t| t.confirm_message_title(), section: section(AdminSection::Outbox));

impl DeleteMessage<'_> {
    fn confirmation(&self) -> Markup {
        let t = self.shell.language;
        Confirmation {
            shell: self.shell,
            t,
            action: &format!("/admin/outbox/{}/delete", self.message.id),
            subject: self.message.to,
            consequences: vec![
                self.message.topic_words(t),
                t.confirm_message_what().into(),
                t.delete_for_good().into(),
            ],
            buttons: vec![("", t.delete())],
            is_dangerous: true,
            typed: None,
            errors: &[],
            back: "/admin/outbox",
        }
        .markup()
    }
}

/// An account with wrong passwords.
pub struct LockedRow<'a> {
    pub id: &'a str,
    pub email: &'a str,
    pub failures: u64,
    pub last_at: Timestamp,
    pub locked_until: Option<Timestamp>,
    /// Addresses that sent them, the latest first.
    pub addresses: Vec<&'a str>,
}

/// `GET /admin/locked`. The buttons post `account` (an id) to `/admin/locked/unlock`.
#[derive(Template)]
#[template(path = "pages/admin/locked.html")]
pub struct Locked<'a> {
    pub shell: &'a Shell<'a>,
    pub accounts: Vec<LockedRow<'a>>,
    pub first_page: Option<&'a str>,
    pub next_page: Option<&'a str>,
}

view!(Locked, title: |it, t| t.locked(), section: section(AdminSection::Locked), script: true);

impl Locked<'_> {
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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyState {
    Next,
    Signing,
    Retired,
}

/// A signing key.
#[derive(Clone, Copy)]
pub struct KeyRow<'a> {
    pub kid: &'a str,
    pub algorithm: &'a str,
    pub state: KeyState,
    pub signs_from: Timestamp,
}

impl KeyRow<'_> {
    fn badge(&self, t: impl Given<Language>) -> Badge {
        let t = t.given();

        match self.state {
            KeyState::Next => Badge::new("accent", t.key_next()),
            KeyState::Signing => Badge::new("good", t.key_signing()),
            KeyState::Retired => Badge::new("plain", t.key_retired()),
        }
    }
}

/// `GET /admin/keys`.
#[derive(Template)]
#[template(path = "pages/admin/keys.html")]
pub struct Keys<'a> {
    pub shell: &'a Shell<'a>,
    pub keys: Vec<KeyRow<'a>>,
}

view!(Keys, title: |it, t| t.keys(), section: section(AdminSection::Keys), script: true);

/// `GET` and `POST /admin/keys/rotate`.
#[derive(Template)]
#[template(path = "pages/confirmation.html")]
pub struct RotateKey<'a> {
    pub shell: &'a Shell<'a>,
}

view!(RotateKey, title: |it, t| t.confirm_rotate_title(), section: section(AdminSection::Keys));

impl RotateKey<'_> {
    fn confirmation(&self) -> Markup {
        let t = self.shell.language;
        Confirmation {
            shell: self.shell,
            t,
            action: "/admin/keys/rotate",
            subject: None,
            consequences: vec![
                t.confirm_rotate_what().into(),
                t.confirm_rotate_kept().into(),
            ],
            buttons: vec![("", t.rotate())],
            is_dangerous: false,
            typed: None,
            errors: &[],
            back: "/admin/keys",
        }
        .markup()
    }
}

/// A setting.
#[derive(Clone, Copy)]
pub struct SettingRow<'a> {
    pub name: &'a str,
    /// As an operator may see it: without passwords.
    pub value: &'a str,
    /// The file with its line, the variable, the flag; `None` for the default.
    pub source: Option<&'a str>,
}

/// `GET /admin/settings`.
#[derive(Template)]
#[template(path = "pages/admin/settings.html")]
pub struct Settings<'a> {
    pub shell: &'a Shell<'a>,
    pub settings: Vec<SettingRow<'a>>,
}

view!(Settings, title: |it, t| t.settings(), section: section(AdminSection::Settings));
