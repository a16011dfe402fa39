//! Parts that several pages have: fields, errors, notices, devices, links to the next page.
//!
//! Each part is a template of its own, and its HTML is not escaped again where it is put into a page.

use super::Given;
use askama::Template;
use askama::filters::HtmlSafe;

use super::{Language, Markup, Shell, rendered};

/// What is wrong with one value of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The id of its field, which is the name of the field except in lists; empty if no single field is wrong.
    pub field: &'static str,
    /// What to do about it, in the language of the page.
    pub text: String,
}

impl FieldError {
    pub fn new(field: &'static str, text: impl Into<String>) -> FieldError {
        FieldError {
            field,
            text: text.into(),
        }
    }
}

/// The list of errors above a form.
#[derive(Template)]
#[template(path = "pages/parts/errors.html")]
pub struct ErrorSummary<'a> {
    pub t: Language,
    pub errors: &'a [FieldError],
}

impl HtmlSafe for ErrorSummary<'_> {}

macro_rules! notices {
    ($($variant:ident = $code:literal, $text:ident;)+) => {
        /// What was done, told on the page that follows. The page that did it and the page that tells it are two requests,
        /// so a notice travels by its code.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Notice { $($variant,)+ }

        impl Notice {
            pub const ALL: &[Notice] = &[$(Notice::$variant,)+];

            pub const fn code(self) -> &'static str {
                match self { $(Notice::$variant => $code,)+ }
            }

            /// The notice with this code.
            pub fn read(code: &str) -> Option<Notice> {
                Notice::ALL.iter().copied().find(|notice| notice.code() == code)
            }

            pub fn text(self, t: impl Given<Language>) -> &'static str {
                let t = t.given();

                match self { $(Notice::$variant => t.$text(),)+ }
            }
        }
    };
}

notices! {
    SignedIn = "signed_in", notice_signed_in;
    SignedOut = "signed_out", notice_signed_out;
    ProfileSaved = "profile_saved", notice_profile_saved;
    EmailRequested = "email_requested", notice_email_requested;
    EmailWithdrawn = "email_withdrawn", notice_email_withdrawn;
    ConfirmationSent = "confirmation_sent", notice_confirmation_sent;
    PasswordChanged = "password_changed", notice_password_changed;
    SessionNamed = "session_named", notice_session_named;
    SessionEnded = "session_ended", notice_session_ended;
    SessionGone = "session_gone", notice_session_gone;
    AppEnded = "app_ended", notice_app_ended;
    SessionsEnded = "sessions_ended", notice_sessions_ended;
    OwnAccountDeleted = "own_account_deleted", notice_account_deleted;
    AccountCreated = "account_created", notice_account_created;
    NamesChanged = "names_changed", notice_names_changed;
    AdministratorPromoted = "administrator_promoted", notice_administrator_promoted;
    AdministratorDemoted = "administrator_demoted", notice_administrator_demoted;
    AccountDisabled = "account_disabled", notice_account_disabled;
    AccountEnabled = "account_enabled", notice_account_enabled;
    AccountUnlocked = "account_unlocked", notice_account_unlocked;
    AccountDeleted = "account_deleted", notice_other_account_deleted;
    AccountSessionsEnded = "account_sessions_ended", notice_account_sessions_ended;
    LinkMailed = "link_mailed", notice_link_mailed;
    InvitationMailed = "invitation_mailed", notice_invitation_mailed;
    InvitationWithdrawn = "invitation_withdrawn", notice_invitation_withdrawn;
    GroupCreated = "group_created", notice_group_created;
    GroupDeleted = "group_deleted", notice_group_deleted;
    MemberAdded = "member_added", notice_member_added;
    MemberRemoved = "member_removed", notice_member_removed;
    KeyRotated = "key_rotated", notice_key_rotated;
    MessageDue = "message_due", notice_message_due;
    MessageDeleted = "message_deleted", notice_message_deleted;
    MessageGone = "message_gone", notice_message_gone;
    InvitationGone = "invitation_gone", notice_invitation_gone;
    AccountGone = "account_gone", notice_account_gone;
}

impl Notice {
    /// Whether nothing was changed.
    pub fn is_information(self) -> bool {
        matches!(
            self,
            Notice::SessionGone
                | Notice::MessageGone
                | Notice::InvitationGone
                | Notice::AccountGone
        )
    }
}

/// Attributes that keep a browser from changing what was typed.
macro_rules! as_typed {
    () => {
        r#" autocapitalize="none" autocorrect="off" spellcheck="false""#
    };
}

/// What the markup of a field is, beyond its name: attributes as HTML.
#[derive(Clone, Copy)]
struct Attributes(&'static str);

impl std::fmt::Display for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl HtmlSafe for Attributes {}

/// A field with its label, its hint and its error.
#[derive(Template)]
#[template(path = "pages/parts/field.html")]
pub struct Field<'a> {
    t: Language,
    name: &'a str,
    label: &'a str,
    attributes: Attributes,
    value: &'a str,
    hint: String,
    error: Option<&'a str>,
    is_password: bool,
    is_optional: bool,
    is_required: bool,
    has_focus: bool,
    min_length: Option<usize>,
}

impl HtmlSafe for Field<'_> {}

impl<'a> Field<'a> {
    fn new(t: Language, name: &'a str, label: &'a str, attributes: &'static str) -> Field<'a> {
        Field {
            t,
            name,
            label,
            attributes: Attributes(attributes),
            value: "",
            hint: String::new(),
            error: None,
            is_password: false,
            is_optional: false,
            is_required: true,
            has_focus: false,
            min_length: None,
        }
    }

    /// The login of the sign-in form. `webauthn` has to be the last token (HTML §4.10.18.7.1).
    pub fn login(t: impl Given<Language>) -> Field<'a> {
        let t = t.given();

        let attributes = concat!(
            r#"type="text" inputmode="email" autocomplete="username webauthn" enterkeyhint="next""#,
            as_typed!()
        );
        Field::new(t, "login", t.login(), attributes)
    }

    /// An e-mail address that becomes the login: password managers keep it with the password.
    pub fn email(t: impl Given<Language>) -> Field<'a> {
        let t = t.given();

        let attributes = concat!(r#"type="email" autocomplete="username""#, as_typed!());
        Field::new(t, "email", t.email(), attributes)
    }

    /// A new e-mail address of the account that is signed in.
    pub fn new_email(t: impl Given<Language>) -> Field<'a> {
        let t = t.given();

        let attributes = concat!(r#"type="email" autocomplete="email""#, as_typed!());
        Field::new(t, "email", t.new_email(), attributes)
    }

    pub fn username(t: impl Given<Language>) -> Field<'a> {
        let t = t.given();

        let attributes = concat!(r#"type="text" autocomplete="nickname""#, as_typed!());
        Field::new(t, "username", t.username(), attributes)
    }

    pub fn person(t: impl Given<Language>, label: &'a str) -> Field<'a> {
        let t = t.given();

        Field::new(t, "name", label, r#"type="text" autocomplete="name""#)
    }

    pub fn current_password(t: impl Given<Language>, name: &'a str, label: &'a str) -> Field<'a> {
        let t = t.given();

        let attributes = r#"autocomplete="current-password" enterkeyhint="go""#;
        Field {
            is_password: true,
            ..Field::new(t, name, label, attributes)
        }
    }

    /// A new password of at least `min` characters. `passwordrules` is read by Safari.
    pub fn new_password(
        t: impl Given<Language>,
        name: &'a str,
        label: &'a str,
        min: impl Given<usize>,
    ) -> Field<'a> {
        let t = t.given();
        let min = min.given();

        let attributes = r#"autocomplete="new-password" enterkeyhint="go""#;
        Field {
            is_password: true,
            min_length: Some(min),
            hint: t.password_hint(min),
            ..Field::new(t, name, label, attributes)
        }
    }

    /// A field that is about another person: browsers must not fill in what they know of the reader.
    pub fn about_others(t: impl Given<Language>, name: &'a str, label: &'a str) -> Field<'a> {
        let t = t.given();

        let attributes = concat!(r#"type="text" autocomplete="off""#, as_typed!());
        Field::new(t, name, label, attributes)
    }

    /// The password of another person.
    pub fn password_of_others(t: impl Given<Language>, name: &'a str, label: &'a str) -> Field<'a> {
        let t = t.given();

        let attributes = r#"autocomplete="new-password""#;
        Field {
            is_password: true,
            ..Field::new(t, name, label, attributes)
        }
    }

    /// A code that another screen shows.
    pub fn code(t: impl Given<Language>, name: &'a str, label: &'a str) -> Field<'a> {
        let t = t.given();

        let attributes = concat!(
            r#"type="text" autocomplete="off" autocapitalize="characters""#,
            r#" spellcheck="false" autocorrect="off" maxlength="64""#
        );
        Field::new(t, name, label, attributes)
    }

    pub fn search(t: impl Given<Language>, name: &'a str, label: &'a str) -> Field<'a> {
        let t = t.given();

        let attributes = concat!(
            r#"type="search" autocomplete="off" enterkeyhint="search""#,
            as_typed!()
        );
        Field::new(t, name, label, attributes).needless()
    }

    pub fn value(self, value: &'a str) -> Field<'a> {
        Field { value, ..self }
    }

    pub fn hint(self, hint: impl Into<String>) -> Field<'a> {
        let hint = hint.into();
        Field { hint, ..self }
    }

    /// The error of this field, if it is among `errors`.
    pub fn errors(self, errors: &'a [FieldError]) -> Field<'a> {
        let error = errors.iter().find(|error| error.field == self.name);
        Field {
            error: error.map(|error| error.text.as_str()),
            ..self
        }
    }

    /// It may be left empty, and says so.
    pub fn optional(self) -> Field<'a> {
        Field {
            is_optional: true,
            ..self.needless()
        }
    }

    /// It may be left empty, which needs no words.
    pub fn needless(self) -> Field<'a> {
        Field {
            is_required: false,
            ..self
        }
    }

    /// It has the focus when the page was loaded, unless there are errors to be read first.
    pub fn focused(self, when: bool) -> Field<'a> {
        Field {
            has_focus: when,
            ..self
        }
    }

    /// The ids of what describes the field.
    fn description(&self) -> String {
        let hint = (!self.hint.is_empty()).then_some("hint");
        let error = self.error.map(|_| "error");
        let ids = hint.into_iter().chain(error);
        let ids: Vec<_> = ids.map(|part| format!("{}-{part}", self.name)).collect();
        ids.join(" ")
    }
}

/// A box to tick, with its label.
#[derive(Template)]
#[template(path = "pages/parts/check.html")]
pub struct Check<'a> {
    pub name: &'a str,
    pub label: &'a str,
    pub is_on: bool,
}

impl HtmlSafe for Check<'_> {}

impl<'a> Check<'a> {
    pub fn new(name: &'a str, label: &'a str, is_on: impl Given<bool>) -> Check<'a> {
        let is_on = is_on.given();
        Check { name, label, is_on }
    }
}

/// A value to copy: the script adds a button, and without it the text can be selected.
#[derive(Template)]
#[template(path = "pages/parts/copy.html")]
pub struct CopyField<'a> {
    pub t: Language,
    pub label: &'a str,
    pub value: &'a str,
}

impl HtmlSafe for CopyField<'_> {}

impl<'a> CopyField<'a> {
    pub fn new(t: impl Given<Language>, label: &'a str, value: &'a str) -> CopyField<'a> {
        let t = t.given();
        CopyField { t, label, value }
    }
}

/// What a list shows in the place of entries.
#[derive(Template)]
#[template(path = "pages/parts/empty.html")]
pub struct Empty<'a> {
    pub title: &'a str,
    pub text: &'a str,
    /// A link that leads on: its path and its words.
    pub link: Option<(&'a str, &'a str)>,
}

impl HtmlSafe for Empty<'_> {}

impl<'a> Empty<'a> {
    pub fn new(title: &'a str, text: &'a str) -> Empty<'a> {
        let link = None;
        Empty { title, text, link }
    }

    pub fn link(self, path: &'a str, words: &'a str) -> Empty<'a> {
        let link = Some((path, words));
        Empty { link, ..self }
    }
}

/// Links to the next page of a list and back to its start.
#[derive(Template)]
#[template(path = "pages/parts/pager.html")]
pub struct Pager<'a> {
    pub t: Language,
    /// The path and query of the first page, if this is not it.
    pub first: Option<&'a str>,
    /// The path and query of the next page, if there is one.
    pub next: Option<&'a str>,
    /// What the next page has.
    pub next_words: &'static str,
}

impl HtmlSafe for Pager<'_> {}

/// A device, as far as it is known.
#[derive(Clone, Copy, Default)]
pub struct Device<'a> {
    /// What the account owner calls it.
    pub own_name: Option<&'a str>,
    /// `Firefox`, or the name of an app.
    pub program: Option<&'a str>,
    /// `Windows`, `Mac or iPad`.
    pub system: Option<&'a str>,
}

impl Device<'_> {
    /// The owner's name for it, or what it is.
    pub fn shown(&self, t: impl Given<Language>) -> String {
        let t = t.given();

        match self.own_name {
            Some(name) => name.to_owned(),
            None => self.kind(t),
        }
    }

    /// The program and system: `Firefox on Windows`.
    pub fn kind(&self, t: impl Given<Language>) -> String {
        let t = t.given();

        match (self.program, self.system) {
            (Some(program), Some(system)) => t.program_on(program, system),
            (Some(program), None) => program.to_owned(),
            (None, Some(system)) => t.unknown_program_on(system),
            (None, None) => t.unknown_program().to_owned(),
        }
    }

    /// Whether the owner's name hides what it is.
    pub fn is_named(&self) -> bool {
        self.own_name.is_some()
    }
}

/// A page that says what will happen, with the button that does it.
#[derive(Template)]
#[template(path = "pages/parts/confirm.html")]
pub struct Confirmation<'a> {
    pub shell: &'a Shell<'a>,
    pub t: Language,
    /// Where the form posts to.
    pub action: &'a str,
    /// What it is about, such as the address of an account.
    pub subject: Option<&'a str>,
    /// What will happen.
    pub consequences: Vec<String>,
    /// The buttons: their value in the field `choice` (empty for none) and their words.
    pub buttons: Vec<(&'static str, &'static str)>,
    pub is_dangerous: bool,
    /// What has to be typed, and what was.
    pub typed: Option<(&'a str, &'a str)>,
    pub errors: &'a [FieldError],
    /// Where it leads if the reader does not want it.
    pub back: &'a str,
}

impl HtmlSafe for Confirmation<'_> {}

impl Confirmation<'_> {
    pub fn markup(&self) -> Markup {
        Markup(rendered(self))
    }
}
