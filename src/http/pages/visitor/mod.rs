//! Who looks at a page, and the guards of the pages' routes.
//!
//! A [`Visitor`] is what every handler of a page starts from: the browser session if there is one, the language, the notice
//! to show, and the token of the forms. The guards make it. They also refuse a form that another site sent
//! ([`cross_site`]), or that has no token of this visitor: no handler can forget either.

mod cookies;
mod cross_site;
pub(super) mod return_address;

use schemars::SchemaGenerator;

use cookies::Cookies;
use return_address::{HOME, ReturnAddress};

use super::view::message::{About, Message};
use super::view::{Language, Notice, Shell, SignedIn as ShownAccount, View};
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Input, InputDescription};
use crate::http::response::Response;
use crate::http::route::{Access, Guard};
use crate::service::{Administration, Browser, NewCookie, StepUpPurpose};

/// The field of every form that has its token.
const TOKEN_FIELD: &str = "form_token";

/// A person at a browser, signed in or not.
pub(in crate::http) struct Visitor<'a> {
    pub(in crate::http::pages) call: &'a Call<'a>,
    pub(in crate::http::pages) cookies: Cookies,
    pub(in crate::http::pages) language: Language,
    browser: Option<Browser>,
    /// The value of the form cookie, and whether the browser does not have it yet.
    form: (String, bool),
    form_token: String,
    notice: Option<Notice>,
}

impl<'a> Visitor<'a> {
    fn of(call: &'a Call<'a>) -> Result<Visitor<'a>, HttpError> {
        let request = call.request;
        let cookies = Cookies::of(&call.authd.policy().issuer);
        let mut browser = None;
        for token in cookies.sessions(request) {
            browser = call.authd.browser(token, &call.device)?;
            if browser.is_some() {
                break;
            }
        }
        let form = match cookies.form(request) {
            Some(value) => (value.to_owned(), false),
            None => (call.authd.visitor_id(), browser.is_none()),
        };
        let holder = match &browser {
            Some(browser) => browser.actor.session.to_string(),
            None => form.0.clone(),
        };
        Ok(Visitor {
            language: Language::choose(None, request.header("accept-language")),
            notice: cookies.notice(request).and_then(Notice::read),
            form_token: call.authd.form_token(&holder),
            call,
            cookies,
            browser,
            form,
        })
    }

    /// The session, if the visitor is signed in.
    pub(in crate::http::pages) fn browser(&self) -> Option<&Browser> {
        self.browser.as_ref()
    }

    /// The token of the session cookie that came along, if there is one.
    pub(in crate::http::pages) fn present_cookie(&self) -> Option<&'a str> {
        self.cookies.sessions(self.call.request).first().copied()
    }

    /// What all pages have in common.
    pub(in crate::http::pages) fn shell(&self) -> Shell<'_> {
        Shell {
            account: self.browser.as_ref().map(|browser| ShownAccount {
                name: browser.name.as_deref(),
                email: &browser.email,
                is_admin: browser.admin,
            }),
            notice: self.notice,
            form_token: &self.form_token,
            ..self.call.site.shell(self.language, self.call.authd.now())
        }
    }

    /// A page that only says something.
    pub(in crate::http::pages) fn show_message(&self, status: u16, about: About<'_>) -> Response {
        let shell = self.shell();
        self.show_with(
            status,
            &Message {
                shell: &shell,
                about,
            },
        )
    }

    /// A page, with status 422 if it shows what is wrong with a form.
    pub(in crate::http::pages) fn show(&self, view: &impl View) -> Response {
        let status = if view.errors().is_empty() { 200 } else { 422 };
        self.show_with(status, view)
    }

    /// A page with another status.
    pub(in crate::http::pages) fn show_with(&self, status: u16, view: &impl View) -> Response {
        let response = html(status, view);
        match self.notice {
            Some(_) => response.header("set-cookie", self.cookies.remove_notice()),
            None => response,
        }
    }

    /// Sends the browser to a path of this server.
    pub(in crate::http::pages) fn go(&self, path: &str) -> Response {
        see_other(path)
    }

    /// The same, and tells there what was done.
    pub(in crate::http::pages) fn go_with(&self, path: &str, notice: Notice) -> Response {
        see_other(path).header("set-cookie", self.cookies.set_notice(notice.code()))
    }

    /// Gives the browser its session.
    pub(in crate::http::pages) fn with_session(
        &self,
        response: Response,
        new: &NewCookie,
    ) -> Response {
        let cookie = self.cookies.set_session(&new.cookie.reveal(), new.kept_for);
        response.header("set-cookie", cookie)
    }

    /// Takes the session cookie away.
    pub(in crate::http::pages) fn forget_session(&self) -> String {
        self.cookies.remove_session()
    }

    /// Sends a visitor who is not signed in to the sign-in, and back to the page afterwards.
    fn to_sign_in(&self) -> Response {
        let here = self.here();
        match here.as_str() {
            HOME => self.go("/login"),
            here => self.go(&format!("/login?{}", self.return_pair(here))),
        }
    }

    /// Sends a visitor whose authentication is too old for `purpose` to give the password again, and back afterwards.
    pub(in crate::http::pages) fn to_step_up(&self, purpose: StepUpPurpose) -> Response {
        self.to_step_up_for(purpose, &self.here())
    }

    /// The same, and on to another page of this server afterwards.
    pub(in crate::http::pages) fn to_step_up_for(
        &self,
        purpose: StepUpPurpose,
        return_to: &str,
    ) -> Response {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("purpose", purpose.as_str())
            .append_pair("return_to", return_to)
            .finish();
        self.go(&format!("/confirm?{query}"))
    }

    /// Sends the browser to the address of an app.
    pub(in crate::http::pages) fn leave(&self, address: String) -> Response {
        Response::new(303).header("location", address)
    }

    /// The pair of a query that says where to go on.
    pub(in crate::http::pages) fn return_pair(&self, path: &str) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", path)
            .finish()
    }

    /// The address of this page. A form that was sent is lost by going away, so the page that has it is the best that there
    /// is.
    fn here(&self) -> String {
        let request = self.call.request;
        let here = match (cross_site::is_safe(&request.method), &request.query) {
            (true, Some(query)) => Some(format!("{}?{query}", request.path)),
            (true, None) => Some(request.path.clone()),
            (false, _) => super::page_for(&request.path).map(str::to_owned),
        };
        ReturnAddress::or_home(here.as_deref()).as_str().to_owned()
    }

    /// Refuses a form that another site sent, or one without the token of this visitor.
    fn check_form(&self) -> Result<(), HttpError> {
        let request = self.call.request;
        if cross_site::is_safe(&request.method) {
            return Ok(());
        }
        let has_cookie = self.present_cookie().is_some();
        let own_origin = &self.call.authd.policy().issuer;
        if !cross_site::is_allowed(request, own_origin, has_cookie) {
            return Err(HttpError::cross_site_request());
        }
        let mut fields = form_urlencoded::parse(&request.body);
        let token = fields.find_map(|(name, value)| (name == TOKEN_FIELD).then_some(value));
        // A form that was opened before the sign-in, in another tab, has the token of the form cookie.
        let is_own = token.is_some_and(|token| {
            let session = self.browser.as_ref().map(|it| it.actor.session.to_string());
            let cookie = (!self.form.1).then(|| self.form.0.clone());
            let mut holders = session.into_iter().chain(cookie);
            holders.any(|holder| self.call.authd.is_form_token(&token, &holder))
        });
        is_own.then_some(()).ok_or_else(HttpError::stale_form)
    }

    /// Adds what every page leaves in the browser.
    fn finish(&self, response: Response) -> Response {
        match &self.form {
            (value, true) => response.header("set-cookie", self.cookies.set_form(value)),
            _ => response,
        }
    }
}

/// A page as a response.
pub(in crate::http::pages) fn html(status: u16, view: &impl View) -> Response {
    Response::new(status)
        .header("content-type", "text/html; charset=utf-8")
        .header("content-language", view.shell().language.tag())
        .header("vary", "accept-language, cookie")
        .with_body(view.html())
}

/// 303: whatever the method was, the browser goes on with GET (RFC 9110 §15.4.4; req 50).
pub(in crate::http::pages) fn see_other(path: &str) -> Response {
    Response::new(303).header("location", path.to_owned())
}

/// A page for every visitor.
pub(in crate::http) struct Everyone<I>(
    pub(in crate::http) fn(&Visitor<'_>, I) -> Result<Response, HttpError>,
);

/// A page for an account owner who is signed in. Others are sent to sign in.
pub(in crate::http) struct Owner<I>(
    pub(in crate::http) fn(&Visitor<'_>, &Browser, I) -> Result<Response, HttpError>,
);

/// A page for an administrator who authenticated within the last ten minutes. The handler gets what an administrator may do.
pub(in crate::http) struct Administrator<I>(
    pub(in crate::http) fn(&Visitor<'_>, &Administration<'_>, I) -> Result<Response, HttpError>,
);

impl<I: Input> Guard for Everyone<I> {
    fn access(&self) -> Access {
        Access::Public
    }

    fn answer(&self, call: &Call<'_>) -> Result<Response, HttpError> {
        let visitor = Visitor::of(call)?;
        visitor.check_form()?;
        let response = (self.0)(&visitor, I::read(call)?)?;
        Ok(visitor.finish(response))
    }

    fn describe_input(&self, generator: &mut SchemaGenerator) -> InputDescription {
        InputDescription::of::<I>(generator)
    }
}

impl<I: Input> Guard for Owner<I> {
    fn access(&self) -> Access {
        Access::Cookie
    }

    fn answer(&self, call: &Call<'_>) -> Result<Response, HttpError> {
        let visitor = Visitor::of(call)?;
        let Some(browser) = visitor.browser() else {
            return Ok(visitor.finish(visitor.to_sign_in()));
        };
        visitor.check_form()?;
        (self.0)(&visitor, browser, I::read(call)?)
    }

    fn describe_input(&self, generator: &mut SchemaGenerator) -> InputDescription {
        InputDescription::of::<I>(generator)
    }
}

impl<I: Input> Guard for Administrator<I> {
    fn access(&self) -> Access {
        Access::Administrator
    }

    fn answer(&self, call: &Call<'_>) -> Result<Response, HttpError> {
        let visitor = Visitor::of(call)?;
        let Some(browser) = visitor.browser() else {
            return Ok(visitor.finish(visitor.to_sign_in()));
        };
        if !browser.admin {
            return Ok(visitor.show_message(403, About::AdministratorsOnly));
        }
        if !browser.is_recent(StepUpPurpose::Administration) {
            return Ok(visitor.to_step_up(StepUpPurpose::Administration));
        }
        visitor.check_form()?;
        let administration = call
            .authd
            .administration_in_browser(browser, &call.device)?;
        (self.0)(&visitor, &administration, I::read(call)?)
    }

    fn describe_input(&self, generator: &mut SchemaGenerator) -> InputDescription {
        InputDescription::of::<I>(generator)
    }
}
