//! The cookies of the pages: their names, and how they are read and set.
//!
//! | cookie | holds | lives |
//! |---|---|---|
//! | session | the token of a browser session | until the browser closes, or as long as the session if it is kept |
//! | form | a random value that the form tokens of a visitor who is not signed in belong to | until the browser closes |
//! | notice | the code of what was done just now | a minute, or until it is shown |
//! | link | the token of a link, which leaves the address of the page at once | 15 minutes, for one page |
//!
//! Under a public URL with TLS they are `__Host-` cookies (RFC 6265bis §4.1.3.2), or `__Secure-` where they have a path. Over
//! plain HTTP these prefixes and `Secure` do not work in every browser; the port is in the name then, because cookies do
//! not tell ports apart.

use std::time::Duration;

use cookie::{Cookie, SameSite};

use crate::http::request::Request;

/// How long a notice waits to be shown.
const NOTICE_LIFE: Duration = Duration::from_secs(60);

/// How long the token of a link is kept for its page: as long as a reset link lives.
const LINK_LIFE: Duration = Duration::from_secs(15 * 60);

/// The values of one name that are looked at: a browser sends several where cookies with other paths have the same name.
const MOST_VALUES: usize = 4;

/// The cookies of a site, by its public URL.
#[derive(Clone, Debug)]
pub(in crate::http) struct Cookies {
    is_secure: bool,
    /// What follows the name over plain HTTP.
    suffix: String,
}

impl Cookies {
    /// The cookies of the site at `public_url`, which is an origin.
    pub(in crate::http) fn of(public_url: &str) -> Cookies {
        let is_secure = public_url.starts_with("https://");
        let authority = public_url.split_once("://").map_or("", |(_, rest)| rest);
        let port = authority
            .rsplit_once(':')
            .filter(|(_, port)| !port.ends_with(']'))
            .map_or("80", |(_, port)| port);
        Cookies {
            is_secure,
            suffix: match is_secure {
                true => String::new(),
                false => format!("_{port}"),
            },
        }
    }

    fn host_name(&self, name: &str) -> String {
        let prefix = if self.is_secure { "__Host-" } else { "" };
        format!("{prefix}{name}{}", self.suffix)
    }

    fn path_name(&self, name: &str) -> String {
        let prefix = if self.is_secure { "__Secure-" } else { "" };
        format!("{prefix}{name}{}", self.suffix)
    }

    /// The tokens of the session cookies that came with a request.
    pub(in crate::http::pages) fn sessions<'a>(&self, request: &'a Request) -> Vec<&'a str> {
        values(request, &self.host_name("authd"))
    }

    pub(in crate::http::pages) fn form<'a>(&self, request: &'a Request) -> Option<&'a str> {
        values(request, &self.host_name("authd_form")).pop()
    }

    pub(in crate::http::pages) fn notice<'a>(&self, request: &'a Request) -> Option<&'a str> {
        values(request, &self.host_name("authd_notice")).pop()
    }

    pub(in crate::http::pages) fn link<'a>(&self, request: &'a Request) -> Option<&'a str> {
        values(request, &self.path_name("authd_link")).pop()
    }

    /// Sets the session cookie; the browser keeps it for `kept_for`, or until it is closed.
    pub(in crate::http::pages) fn set_session(
        &self,
        token: &str,
        kept_for: Option<Duration>,
    ) -> String {
        self.set(self.host_name("authd"), token, "/", kept_for)
    }

    /// Removes the session cookie. A changed `HttpOnly` cookie also keeps browsers from showing pages of before after Back.
    pub(in crate::http::pages) fn remove_session(&self) -> String {
        self.set(self.host_name("authd"), "", "/", Some(Duration::ZERO))
    }

    pub(in crate::http::pages) fn set_form(&self, value: &str) -> String {
        self.set(self.host_name("authd_form"), value, "/", None)
    }

    pub(in crate::http::pages) fn set_notice(&self, code: &str) -> String {
        self.set(self.host_name("authd_notice"), code, "/", Some(NOTICE_LIFE))
    }

    pub(in crate::http::pages) fn remove_notice(&self) -> String {
        self.set(
            self.host_name("authd_notice"),
            "",
            "/",
            Some(Duration::ZERO),
        )
    }

    /// Keeps the token of a link for the page at `path`.
    pub(in crate::http::pages) fn set_link(&self, token: &str, path: &str) -> String {
        self.set(self.path_name("authd_link"), token, path, Some(LINK_LIFE))
    }

    pub(in crate::http::pages) fn remove_link(&self, path: &str) -> String {
        self.set(self.path_name("authd_link"), "", path, Some(Duration::ZERO))
    }

    fn set(&self, name: String, value: &str, path: &str, kept_for: Option<Duration>) -> String {
        // Lax, and always said: a cookie without it is sent with the forms of other sites for two minutes.
        let mut cookie = Cookie::build((name, value))
            .path(path)
            .http_only(true)
            .secure(self.is_secure)
            .same_site(SameSite::Lax)
            .build();
        if let Some(life) = kept_for {
            let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
            cookie.set_max_age(cookie::time::Duration::seconds(seconds));
        }
        cookie.to_string()
    }
}

/// The values of the cookies called `name`, in the order in which they came.
fn values<'a>(request: &'a Request, name: &str) -> Vec<&'a str> {
    let fields = request.headers_all("cookie");
    let cookies = fields.flat_map(|field| field.split(';'));
    let pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
    let named = pairs.filter(|(other, value)| *other == name && !value.is_empty());
    named.map(|(_, value)| value).take(MOST_VALUES).collect()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test] // req 37
    fn a_session_cookie_belongs_to_one_host_and_no_script() {
        let secure = Cookies::of("https://auth.example.org");
        assert_eq!(
            secure.set_session("ab_1", None),
            "__Host-authd=ab_1; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
        assert_eq!(
            secure.set_session("ab_1", Some(Duration::from_secs(60))),
            "__Host-authd=ab_1; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        let local = Cookies::of("http://localhost:8080");
        assert_eq!(
            local.set_session("ab_1", None),
            "authd_8080=ab_1; HttpOnly; SameSite=Lax; Path=/"
        );
        assert_eq!(
            local.remove_session(),
            "authd_8080=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"
        );
        assert!(
            Cookies::of("http://[::1]")
                .set_form("x")
                .starts_with("authd_form_80=")
        );
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let cookies = Cookies::of("http://localhost:8080");
        let request = Request::new(Method::GET, "/")
            .with_header("cookie", "authd_80=a; xauthd_8080=b; authd_8080=c")
            .with_header("cookie", "authd_8080=; authd_8080=d=e");
        assert_eq!(cookies.sessions(&request), ["c", "d=e"]);
        assert_eq!(cookies.form(&request), None);
    }
}
