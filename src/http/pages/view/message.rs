//! Pages that only say something and lead on.

use askama::Template;

use super::{Markup, Shell, view};

/// What a link was for that no longer works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeadLink {
    Reset,
    Verification,
    Registration,
    Invitation,
    SetUp,
}

/// What the page says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About<'a> {
    /// 404.
    NotFound,
    /// 400 and the other statuses of a request that cannot be read.
    BadRequest,
    /// 403: a form without its token, or from another origin. `again` is the path of the page with the form.
    FormRefused {
        again: &'a str,
    },
    /// 403: the account is no administrator.
    AdministratorsOnly,
    /// 429.
    TooMany {
        retry_after_seconds: u64,
        /// Whether the page offers a new password, which ends the wait.
        offers_reset: bool,
    },
    /// 500.
    ServerError {
        request_id: &'a str,
    },
    /// 503.
    Unavailable {
        retry_after_seconds: u64,
    },
    /// 400, 403: a link that was used or replaced, has expired, or never existed.
    LinkDead(DeadLink),
    /// The set-up page, where there is an administrator already.
    AlreadySetUp,
    SignedOut,
    AccountDeleted,
    RegistrationClosed,
    InvitationNeeded,
    /// `/forgot`, where mail is off.
    NoMail,
    /// An app sent the browser here, and no client has its id.
    UnknownApp,
    /// An app sent the browser here, and the address to go back to is none that it registered.
    UnknownAppAddress,
    /// The account may not use the app of this name.
    AppForbidden {
        app: &'a str,
    },
}

/// A page with a heading, sentences and links.
#[derive(Template)]
#[template(path = "pages/message.html")]
pub struct Message<'a> {
    pub shell: &'a Shell<'a>,
    pub about: About<'a>,
}

view!(Message, title: |it, t| it.parts().heading);

/// What a message has.
struct Parts<'a> {
    heading: &'static str,
    sentences: Vec<Markup>,
    /// A command to type, or the id of a request.
    code: Option<(Option<&'static str>, &'a str)>,
    /// Links: path and words; the first is a button.
    links: Vec<(&'a str, &'static str)>,
}

impl<'a> Parts<'a> {
    fn new(heading: &'static str) -> Parts<'a> {
        Parts {
            heading,
            sentences: Vec::new(),
            code: None,
            links: Vec::new(),
        }
    }

    fn say(self, text: impl AsRef<str>) -> Parts<'a> {
        self.say_markup(Markup::text(text.as_ref()))
    }

    fn say_markup(mut self, sentence: Markup) -> Parts<'a> {
        self.sentences.push(sentence);
        self
    }

    fn link(mut self, path: &'a str, words: &'static str) -> Parts<'a> {
        self.links.push((path, words));
        self
    }

    fn code(self, label: Option<&'static str>, code: &'a str) -> Parts<'a> {
        let code = Some((label, code));
        Parts { code, ..self }
    }
}

impl<'a> Message<'a> {
    fn parts(&self) -> Parts<'a> {
        let t = self.shell.language;
        match self.about {
            About::NotFound => {
                self.lead_home(Parts::new(t.not_found_title()).say(t.not_found_why()))
            }
            About::BadRequest => {
                self.lead_home(Parts::new(t.bad_request_title()).say(t.bad_request_why()))
            }
            About::FormRefused { again } => Parts::new(t.form_refused_title())
                .say(t.form_refused_why())
                .say(t.form_refused_next())
                .link(again, t.open_page_again()),
            About::AdministratorsOnly => self.administrators_only(),
            About::TooMany {
                retry_after_seconds,
                offers_reset,
            } => {
                let wait = t.wait(retry_after_seconds);
                let parts = Parts::new(t.too_many_title()).say(t.too_many_why(&wait));
                match offers_reset {
                    true => parts
                        .say(t.too_many_reset())
                        .link("/forgot", t.forgot_password()),
                    false => self.lead_home(parts),
                }
            }
            About::ServerError { request_id } => {
                let parts = Parts::new(t.server_error_title()).say(t.server_error_why());
                match request_id {
                    "" => parts,
                    id => parts.code(Some(t.request_id()), id),
                }
            }
            About::Unavailable {
                retry_after_seconds,
            } => {
                let wait = t.wait(retry_after_seconds);
                Parts::new(t.unavailable_title()).say(t.unavailable_why(&wait))
            }
            About::LinkDead(link) => self.dead(link),
            About::AlreadySetUp => Parts::new(t.already_set_up_title())
                .say(t.already_set_up_why())
                .link("/login", t.sign_in()),
            About::SignedOut => Parts::new(t.signed_out_title())
                .say(t.signed_out_why())
                .link("/login", t.sign_in_again()),
            About::AccountDeleted => {
                Parts::new(t.account_deleted_title()).say(t.account_deleted_why())
            }
            About::RegistrationClosed => {
                self.lead_home(Parts::new(t.closed_title()).say(t.closed_why()))
            }
            About::InvitationNeeded => self
                .lead_home(Parts::new(t.invitation_needed_title()).say(t.invitation_needed_why())),
            About::NoMail => Parts::new(t.no_mail_title())
                .say(t.no_mail_why())
                .say(t.no_mail_command())
                .code(None, "authd user reset-link ann@example.org")
                .link("/login", t.back_to_sign_in()),
            About::UnknownApp => self.app_refused(t.app_unknown_why(), t.app_unknown_next()),
            About::UnknownAppAddress => self.app_refused(t.app_address_why(), t.app_address_next()),
            About::AppForbidden { app } => self.lead_home(
                Parts::new(t.app_forbidden_title())
                    .say(t.app_forbidden_why(app))
                    .say(t.app_forbidden_next()),
            ),
        }
    }

    /// What went wrong with the request of an app.
    fn app_refused(&self, why: &str, sentence: &str) -> Parts<'a> {
        let t = self.shell.language;
        self.lead_home(Parts::new(t.app_refused_title()).say(why).say(sentence))
    }

    fn administrators_only(&self) -> Parts<'a> {
        let t = self.shell.language;
        let parts = Parts::new(t.forbidden_title()).say(t.forbidden_why());
        let parts = match self.shell.account {
            Some(account) => parts.say_markup(t.forbidden_signed_in(account.email)),
            None => parts,
        };
        self.lead_home(parts)
    }

    fn dead(&self, link: DeadLink) -> Parts<'a> {
        let t = self.shell.language;
        let parts = Parts::new(t.link_dead_title()).say(t.link_dead_why());
        match link {
            DeadLink::Reset => parts
                .say(t.link_dead_reset())
                .link("/forgot", t.link_dead_reset_button()),
            DeadLink::Verification => self.lead_home(parts.say(t.link_dead_verify())),
            DeadLink::Registration => parts
                .say(t.link_dead_registration())
                .link("/register", t.register_again()),
            DeadLink::Invitation => self.lead_home(parts.say(t.link_dead_invitation())),
            DeadLink::SetUp => parts
                .say(t.link_dead_setup())
                .code(None, "authd user setup-link"),
        }
    }

    /// A link to where the reader can go on.
    fn lead_home(&self, parts: Parts<'a>) -> Parts<'a> {
        let t = self.shell.language;
        match self.shell.account {
            Some(_) => parts.link("/account", t.go_to_account()),
            None => parts.link("/login", t.not_found_signed_out()),
        }
    }
}
