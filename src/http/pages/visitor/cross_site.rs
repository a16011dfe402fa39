//! Requests that another site caused (cross-site request forgery).
//!
//! A browser says which page caused a request: in `Sec-Fetch-Site` (Fetch Metadata Request Headers §2.4), which no page can
//! set, and in `Origin` (RFC 6454 §7). Only this server's own pages may change anything. `same-site` is refused too: a
//! page at another port of localhost is same-site, and so is an app on a sister domain.

use http::Method;

use crate::http::request::Request;

/// Whether a request may change something, as far as the page goes that caused it. `has_cookie` says whether a session
/// cookie came along.
pub(in crate::http::pages) fn is_allowed(
    request: &Request,
    own_origin: &str,
    has_cookie: bool,
) -> bool {
    if is_safe(&request.method) {
        return true;
    }
    let sites: Vec<&str> = request.headers_all("sec-fetch-site").collect();
    let origins: Vec<&str> = request.headers_all("origin").collect();
    match (sites.as_slice(), origins.as_slice()) {
        // A browser that sends both means the same by both.
        ([site], []) => *site == "same-origin",
        ([site], [origin]) => *site == "same-origin" && *origin == own_origin,
        ([], [origin]) => *origin == own_origin,
        // No browser: a program that holds no cookie of a person.
        ([], []) => !has_cookie,
        _ => false,
    }
}

/// Whether the method changes nothing (RFC 9110 §9.2.1).
pub(in crate::http::pages) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://auth.example.org";

    fn post(fields: &[(&str, &str)]) -> Request {
        let request = Request::new(Method::POST, "/login");
        fields.iter().fold(request, |request, (name, value)| {
            request.with_header(name, value)
        })
    }

    #[test] // req 38
    fn only_a_page_of_this_server_may_change_anything() {
        let allowed: &[&[(&str, &str)]] = &[
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin"), ("origin", OWN)],
            &[("origin", OWN)],
        ];
        for fields in allowed {
            assert!(is_allowed(&post(fields), OWN, true), "{fields:?}");
        }
        let refused: &[&[(&str, &str)]] = &[
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "Same-Origin")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://evil.example"),
            ],
            &[("sec-fetch-site", "same-site"), ("origin", OWN)],
            &[("origin", "null")],
            &[("origin", "http://auth.example.org")],
            &[("origin", "https://auth.example.org:444")],
            &[("origin", "https://auth.example.org.evil.example")],
            &[("origin", OWN), ("origin", OWN)],
        ];
        for fields in refused {
            for has_cookie in [true, false] {
                assert!(!is_allowed(&post(fields), OWN, has_cookie), "{fields:?}");
            }
        }
        assert!(!is_allowed(&post(&[]), OWN, true));
        assert!(is_allowed(&post(&[]), OWN, false));
    }

    #[test]
    fn a_request_that_changes_nothing_may_come_from_everywhere() {
        let link = Request::new(Method::GET, "/reset").with_header("sec-fetch-site", "cross-site");
        assert!(is_allowed(&link, OWN, true));
    }
}
