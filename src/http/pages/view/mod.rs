//! What the pages look like: pure functions from view structs to HTML.
//!
//! A handler fills in a view struct such as [`sign_in::SignIn`] and calls [`View::html`]:
//!
//! ```text
//! let shell = Shell { language, brand, stylesheet: assets.stylesheet.path(), … };
//! let html = SignIn { shell: &shell, login: "", … }.html();
//! ```
//!
//! - A view struct has plain fields: texts, ids as text, numbers, instants. It knows no type of the service.
//! - Its template in `templates/pages/` is the inside of the page. [`View::html`] puts the frame around it: the title, the
//!   navigation, the notice and the list of errors.
//! - Values are escaped by the template engine. Only this module can make [`Markup`], which is not escaped again, and only
//!   out of a rendered template or a text of the program. No template turns escaping off.
//! - Texts are methods of [`Language`], in English and German (`texts`).
//! - Styles and scripts are in [`assets`] alone: the pages have no inline style and no inline script, since their
//!   Content-Security-Policy allows none. Every page works without the script.
//!
//! A form posts to the path that its template names, with the form token of the [`Shell`].

pub mod account;
pub mod activity;
pub mod admin;
pub mod apps;
pub mod assets;
pub mod brand;
pub mod consent;
pub mod device;
pub mod message;
pub mod parts;
pub mod recovery;
pub mod sessions;
pub mod sign_in;
pub mod sign_up;
pub mod texts;

use std::fmt;

use askama::Template;
use askama::filters::{Escaper, Html, HtmlSafe};

use crate::clock::Timestamp;
use parts::ErrorSummary;
pub use parts::{FieldError, Notice};
pub use texts::Language;

/// A value that a template passes to a function. The template engine passes some values by reference, and the functions take
/// both.
pub trait Given<T> {
    fn given(self) -> T;
}

impl<T: Copy> Given<T> for T {
    fn given(self) -> T {
        self
    }
}

impl<T: Copy> Given<T> for &T {
    fn given(self) -> T {
        *self
    }
}

impl<T: Copy> Given<T> for &&T {
    fn given(self) -> T {
        **self
    }
}

/// What every page has in common.
pub struct Shell<'a> {
    pub language: Language,
    /// The name of the installation, as the setting `brand_name` has it.
    pub brand: &'a str,
    /// Whether `/brand/logo` answers with an image.
    pub has_logo: bool,
    /// The path of the stylesheet, [`assets::Asset::path`].
    pub stylesheet: &'a str,
    /// The path of the script.
    pub script: &'a str,
    /// The account that is signed in. `None` on the pages before sign-in: they have no navigation.
    pub account: Option<SignedIn<'a>>,
    /// What was done just now.
    pub notice: Option<Notice>,
    /// The value of the field `form_token` in every form that posts.
    pub form_token: &'a str,
    pub now: Timestamp,
}

impl Shell<'_> {
    /// The hidden field with the form token.
    pub fn token(&self) -> FormToken<'_> {
        FormToken(self.form_token)
    }

    /// An instant in full.
    pub fn instant(&self, at: impl Given<Timestamp>) -> Markup {
        let at = at.given();
        self.language.instant_element(at)
    }

    /// An instant as seen from now.
    pub fn relative(&self, at: impl Given<Timestamp>) -> Markup {
        let at = at.given();
        self.language.relative_element(at, self.now)
    }
}

/// The account in the header of a page.
#[derive(Clone, Copy)]
pub struct SignedIn<'a> {
    pub name: Option<&'a str>,
    pub email: &'a str,
    /// Whether the navigation leads to the administration.
    pub is_admin: bool,
}

impl SignedIn<'_> {
    fn shown(&self) -> &str {
        self.name.unwrap_or(self.email)
    }
}

/// A link of the navigation that can be the current one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Account,
    Sessions,
    Apps,
    Activity,
    Administration(AdminSection),
}

/// A link of the administration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AdminSection {
    Overview,
    Accounts,
    Invitations,
    Groups,
    Events,
    Outbox,
    Locked,
    Keys,
    Settings,
}

impl AdminSection {
    const ALL: [AdminSection; 9] = [
        AdminSection::Overview,
        AdminSection::Accounts,
        AdminSection::Invitations,
        AdminSection::Groups,
        AdminSection::Events,
        AdminSection::Outbox,
        AdminSection::Locked,
        AdminSection::Keys,
        AdminSection::Settings,
    ];

    fn path(self) -> &'static str {
        match self {
            AdminSection::Overview => "/admin",
            AdminSection::Accounts => "/admin/accounts",
            AdminSection::Invitations => "/admin/invitations",
            AdminSection::Groups => "/admin/groups",
            AdminSection::Events => "/admin/events",
            AdminSection::Outbox => "/admin/outbox",
            AdminSection::Locked => "/admin/locked",
            AdminSection::Keys => "/admin/keys",
            AdminSection::Settings => "/admin/settings",
        }
    }

    fn title(self, t: impl Given<Language>) -> &'static str {
        let t = t.given();
        match self {
            AdminSection::Overview => t.overview(),
            AdminSection::Accounts => t.accounts(),
            AdminSection::Invitations => t.invitations(),
            AdminSection::Groups => t.groups(),
            AdminSection::Events => t.events(),
            AdminSection::Outbox => t.outbox(),
            AdminSection::Locked => t.locked(),
            AdminSection::Keys => t.keys(),
            AdminSection::Settings => t.settings(),
        }
    }
}

/// The frame of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// One narrow card: signing in and everything that is one step.
    Card,
    /// A column of sections, with the navigation.
    Column(Section),
}

/// A page.
pub trait View: Template {
    fn shell(&self) -> &Shell<'_>;

    /// The heading of the page, which is the first part of its `<title>` too.
    fn title(&self) -> String;

    fn frame(&self) -> Frame {
        Frame::Card
    }

    /// What is wrong with the values that were sent. A page with errors is answered with status 422.
    fn errors(&self) -> &[FieldError] {
        &[]
    }

    /// Whether the script has anything to do on this page.
    fn uses_script(&self) -> bool {
        !self.errors().is_empty()
    }

    /// The whole page.
    fn html(&self) -> String {
        let (shell, title, errors) = (self.shell(), self.title(), self.errors());
        let t = shell.language;
        let section = match self.frame() {
            Frame::Card => None,
            Frame::Column(section) => Some(section),
        };
        let layout = Layout {
            shell,
            t,
            document_title: match errors {
                [] => title.clone(),
                _ => t.error_title(&title),
            },
            title: &title,
            section,
            uses_script: self.uses_script(),
            errors: ErrorSummary { t, errors },
            body: Markup::of(self),
        };
        rendered(&layout)
    }
}

/// The frame around the inside of a page.
#[derive(Template)]
#[template(path = "pages/layout.html")]
struct Layout<'a> {
    shell: &'a Shell<'a>,
    t: Language,
    /// What stands in `<title>` before the name of the installation.
    document_title: String,
    title: &'a str,
    section: Option<Section>,
    uses_script: bool,
    errors: ErrorSummary<'a>,
    body: Markup,
}

impl Layout<'_> {
    fn is_card(&self) -> bool {
        self.section.is_none()
    }

    fn admin_section(&self) -> Option<AdminSection> {
        match self.section {
            Some(Section::Administration(section)) => Some(section),
            _ => None,
        }
    }

    fn is_admin_section(&self, section: impl Given<AdminSection>) -> bool {
        self.admin_section() == Some(section.given())
    }

    fn is_overview(&self) -> bool {
        self.is_admin_section(AdminSection::Overview)
    }

    fn is_current(&self, section: Section) -> bool {
        match (self.section, section) {
            (Some(Section::Administration(_)), Section::Administration(_)) => true,
            (current, section) => current == Some(section),
        }
    }

    /// The links between the areas.
    fn areas(&self) -> Vec<(&'static str, &'static str, bool)> {
        let t = self.t;
        let admin = Section::Administration(AdminSection::Overview);
        let mut areas = vec![
            ("/account", t.account(), Section::Account),
            ("/account/sessions", t.sessions(), Section::Sessions),
            ("/account/apps", t.apps(), Section::Apps),
            ("/account/activity", t.activity(), Section::Activity),
        ];
        if self.shell.account.is_some_and(|account| account.is_admin) {
            areas.push(("/admin", t.administration(), admin));
        }
        let link = |(path, title, section)| (path, title, self.is_current(section));
        areas.into_iter().map(link).collect()
    }
}

/// HTML that is complete and escaped.
#[derive(Clone)]
pub struct Markup(String);

impl Markup {
    /// The HTML of a template.
    fn of(template: &(impl Template + ?Sized)) -> Markup {
        Markup(rendered(template))
    }

    /// A text, escaped.
    fn text(text: &str) -> Markup {
        let mut html = String::with_capacity(text.len());
        // It fails only where writing the text fails, and writing to a String does not.
        let _ = Html.write_escaped_str(&mut html, text);
        Markup(html)
    }

    /// HTML whose values the caller has escaped.
    fn trusted(html: String) -> Markup {
        Markup(html)
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Markup {}

/// The hidden field that a form carries as a proof that this server wrote it.
pub struct FormToken<'a>(&'a str);

impl fmt::Display for FormToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Base64url: nothing to escape. A value of another kind is left out, and the form is then refused.
        let is_token = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let value = Some(self.0).filter(|text| text.chars().all(is_token));
        let value = value.unwrap_or_default();
        write!(
            f,
            "<input type=\"hidden\" name=\"form_token\" value=\"{value}\">"
        )
    }
}

impl HtmlSafe for FormToken<'_> {}

fn rendered(template: &(impl Template + ?Sized)) -> String {
    // It fails only where writing the text fails, and writing to a String does not.
    template.render().unwrap_or_default()
}

/// Implements [`View`] for structs with a field `shell`, and `errors` where the page has a form.
macro_rules! view {
    ($name:ident, title: |$it:ident, $t:ident| $title:expr
        $(, section: $section:expr)? $(, errors: $errors:ident)? $(, script: $script:expr)?) => {
        impl $crate::http::pages::view::View for $name<'_> {
            fn shell(&self) -> &$crate::http::pages::view::Shell<'_> {
                self.shell
            }

            fn title(&self) -> String {
                let ($it, $t) = (self, self.shell.language);
                let _ = ($it, $t);
                $title.into()
            }

            $(fn frame(&self) -> $crate::http::pages::view::Frame {
                let $it = self;
                let _ = $it;
                $crate::http::pages::view::Frame::Column($section)
            })?

            $(fn errors(&self) -> &[$crate::http::pages::view::FieldError] {
                &self.$errors
            })?

            $(fn uses_script(&self) -> bool {
                $script
            })?
        }
    };
}
use view;
