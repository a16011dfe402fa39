//! What happened to an account, in words.

use super::Given;
use askama::Template;

use super::parts::{Device, Empty, Pager};
use super::{Language, Markup, Section, Shell, view};
use crate::clock::Timestamp;

/// How an event is to be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    Plain,
    /// Something was gained: a sign-in, a proof.
    Good,
    /// Something to look at.
    Warning,
    /// Something to act on.
    Danger,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Good => "good",
            Tone::Warning => "warn",
            Tone::Danger => "bad",
        }
    }
}

/// Who did something to the account of another person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Administrator<'a> {
    /// The operator of the server, with a command.
    Operator,
    /// An administrator, who is not named to the owner of the account.
    Unnamed,
    /// An administrator, by address.
    Named(&'a str),
}

/// One event.
#[derive(Clone, Default)]
pub struct Event<'a> {
    pub at: Option<Timestamp>,
    /// The stable name, such as `sign_in`.
    pub kind: &'a str,
    /// The account, by its address and id; only on pages of the administration.
    pub account: Option<(&'a str, &'a str)>,
    /// The device that caused it, if one did.
    pub device: Option<Device<'a>>,
    pub address: Option<&'a str>,
    /// Who administered, if it was done by administration.
    pub by: Option<Administrator<'a>>,
    /// `reason` or `cause` of the detail, or `by` if that names a way and not a person.
    pub reason: Option<&'a str>,
    pub group: Option<&'a str>,
    /// The name of an app.
    pub app: Option<&'a str>,
    /// How many sessions ended.
    pub sessions: Option<u64>,
    /// A change of address.
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
}

/// What a kind of event is, in words, and how it is to be seen. `None` for a kind that this version does not know.
pub fn words_for(kind: &str, t: Language) -> Option<(&'static str, Tone)> {
    use Tone::{Danger, Good, Plain, Warning};
    Some(match kind {
        "account_created" => (t.event_account_created(), Good),
        "account_changed" => (t.event_account_changed(), Plain),
        "account_disabled" => (t.event_account_disabled(), Warning),
        "account_enabled" => (t.event_account_enabled(), Plain),
        "account_unlocked" => (t.event_account_unlocked(), Plain),
        "account_deleted" => (t.event_account_deleted(), Warning),
        "administrator_promoted" => (t.event_administrator_promoted(), Warning),
        "administrator_demoted" => (t.event_administrator_demoted(), Warning),
        "group_created" => (t.event_group_created(), Plain),
        "group_granted" => (t.event_group_granted(), Plain),
        "group_revoked" => (t.event_group_revoked(), Plain),
        "group_deleted" => (t.event_group_deleted(), Plain),
        "invitation_created" => (t.event_invitation_created(), Plain),
        "invitation_used" => (t.event_invitation_used(), Good),
        "invitation_withdrawn" => (t.event_invitation_withdrawn(), Plain),
        "password_changed" => (t.event_password_changed(), Plain),
        "password_reset_requested" => (t.event_password_reset_requested(), Plain),
        "email_verification_requested" => (t.event_email_verification_requested(), Plain),
        "email_verified" => (t.event_email_verified(), Good),
        "email_change_requested" => (t.event_email_change_requested(), Plain),
        "email_changed" => (t.event_email_changed(), Plain),
        "mail_failed" => (t.event_mail_failed(), Warning),
        "mail_limited" => (t.event_mail_limited(), Warning),
        "mail_retried" => (t.event_mail_retried(), Plain),
        "mail_deleted" => (t.event_mail_deleted(), Plain),
        "sign_in" => (t.event_sign_in(), Good),
        "sign_in_failed" => (t.event_sign_in_failed(), Warning),
        "sign_in_throttled" => (t.event_sign_in_throttled(), Warning),
        "sign_in_incomplete" => (t.event_sign_in_incomplete(), Warning),
        "session_ended" => (t.event_session_ended(), Plain),
        "sessions_ended" => (t.event_session_ended(), Plain),
        "refresh_refused" => (t.event_refresh_refused(), Plain),
        "refresh_replayed_elsewhere" => (t.event_refresh_replayed_elsewhere(), Danger),
        "refresh_token_reused" => (t.event_refresh_token_reused(), Danger),
        "file_rolled_back" => (t.event_file_rolled_back(), Danger),
        "client_created" => (t.event_client_created(), Plain),
        "client_changed" => (t.event_client_changed(), Plain),
        "client_secret_rotated" => (t.event_client_secret_rotated(), Plain),
        "client_deleted" => (t.event_client_deleted(), Plain),
        "app_allowed" => (t.event_app_allowed(), Good),
        "app_sign_in" => (t.event_app_sign_in(), Good),
        "device_allowed" => (t.event_device_allowed(), Good),
        "app_access_ended" => (t.event_app_access_ended(), Plain),
        "authorization_code_reused" => (t.event_authorization_code_reused(), Danger),
        "signing_key_rotated" => (t.event_signing_key_rotated(), Plain),
        "database_restored" => (t.event_database_restored(), Warning),
        _ => return None,
    })
}

impl Event<'_> {
    /// What happened.
    pub fn title(&self, t: impl Given<Language>) -> String {
        let t = t.given();

        match (self.kind, self.reason, self.sessions) {
            ("sessions_ended", _, Some(sessions)) => t.event_sessions_ended(sessions),
            ("session_ended", Some("too_many_sessions"), _) => {
                t.event_session_ended_by_limit().to_owned()
            }
            ("password_changed", Some("reset link"), _) => {
                t.event_password_changed_by_link().to_owned()
            }
            ("sign_in_failed", Some(reason), _) if !reason.contains("password") => {
                t.event_sign_in_failed_other().to_owned()
            }
            (kind, ..) => match words_for(kind, t) {
                Some((words, _)) => words.to_owned(),
                None => kind.replace('_', " "),
            },
        }
    }

    pub fn tone(&self, t: impl Given<Language>) -> Tone {
        let t = t.given();

        words_for(self.kind, t).map_or(Tone::Plain, |(_, tone)| tone)
    }

    /// More about it: why, by whom, which group, which address.
    pub fn facts(&self, t: impl Given<Language>) -> Vec<Markup> {
        let t = t.given();

        let because = match self.reason {
            Some("ended_by_operator" | "ended_by_administrator") if self.by.is_none() => {
                Some(t.because_operator())
            }
            Some("password_changed" | "password_reset") => Some(t.because_password()),
            Some("account_disabled") => Some(t.because_disabled()),
            Some("refresh_token_reused") => Some(t.because_reuse()),
            Some("database_restored" | "file_rolled_back") => Some(t.because_restored()),
            _ => None,
        };
        let by = self.by.map(|by| match by {
            Administrator::Operator => Markup::text(t.by_operator()),
            Administrator::Unnamed => Markup::text(t.by_administrator()),
            Administrator::Named(email) => t.event_by(email),
        });
        let addresses = match (self.from, self.to) {
            (Some(old), Some(new)) => Some(t.event_from_to(old, new)),
            (None, Some(new)) => Some(t.event_to(new)),
            _ => None,
        };
        let group = self.group.map(|group| t.event_group(group));
        let app = self.app.map(|app| t.event_app(app));
        let words = because.into_iter().map(Markup::text).chain(by);
        words.chain(app).chain(group).chain(addresses).collect()
    }

    /// The device in words.
    pub fn device_words(&self, t: impl Given<Language>) -> Option<String> {
        let t = t.given();

        self.device.map(|device| device.shown(t))
    }
}

/// How a theft was noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    /// `copied` or `followed in lockstep`: two devices hold the same sign-in data.
    Copied,
    /// `retried late or copied`: perhaps the answer was lost on the network.
    LateOrCopied,
}

/// One of the two devices that used the same sign-in data.
#[derive(Clone, Copy)]
pub struct Party<'a> {
    pub device: Device<'a>,
    pub address: &'a str,
    pub at: Timestamp,
}

/// A detected theft that the reader is told about above the list.
#[derive(Clone, Copy)]
pub struct Theft<'a> {
    pub finding: Finding,
    /// What the account owner calls the device of the session.
    pub session_name: Option<&'a str>,
    pub first: Party<'a>,
    pub second: Party<'a>,
}

impl Theft<'_> {
    /// The time between the two uses.
    fn interval(&self, t: impl Given<Language>) -> String {
        let t: Language = t.given();
        t.span(self.second.at.since(self.first.at).as_secs())
    }
}

/// `GET /account/activity`.
#[derive(Template)]
#[template(path = "pages/activity.html")]
pub struct Activity<'a> {
    pub shell: &'a Shell<'a>,
    /// The latest theft within some weeks, on the first page alone.
    pub theft: Option<Theft<'a>>,
    /// Newest first, at most about 25.
    pub events: Vec<Event<'a>>,
    pub first_page: Option<&'a str>,
    /// The path and query of the older events.
    pub older: Option<&'a str>,
}

view!(Activity, title: |it, t| t.activity_title(), section: Section::Activity, script: true);

impl Activity<'_> {
    fn list(&self) -> EventList<'_> {
        EventList {
            shell: self.shell,
            t: self.shell.language,
            events: &self.events,
        }
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

/// A list of events, here and in the administration.
#[derive(Template)]
#[template(path = "pages/parts/events.html")]
pub struct EventList<'a> {
    pub shell: &'a Shell<'a>,
    pub t: Language,
    pub events: &'a [Event<'a>],
}

impl askama::filters::HtmlSafe for EventList<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_a_later_version_is_shown_by_its_name() {
        let unknown = Event {
            kind: "moon_landing",
            ..Event::default()
        };
        assert_eq!(unknown.title(Language::English), "moon landing");
    }
}
