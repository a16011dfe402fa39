//! The pages: what a person sees in a browser.
//!
//! A handler starts from a [`visitor::Visitor`], which the guards of the routes make, calls the service, and fills in a
//! view; `view` holds the looks and the words. Every page works without its script.
//!
//! Opening a page changes nothing: mail programs and virus scanners open links before people do (req 28, req 40). A form
//! that is sent goes on with 303 to a page, so that reloading it sends nothing twice.
//!
//! Never in here: a rule of the lifecycle; a form that is read without its token; an address to go on to that was not
//! checked by [`visitor::return_address`].

mod admin;
mod entry;
mod field_errors;
mod files;
mod oauth;
mod owner;
pub mod site;
mod table;
mod view;
mod visitor;

pub(super) use table::ROUTES;

use http::Method;

use super::error::HttpError;
use super::request::Request;
use super::response::Response;
use crate::clock::Timestamp;
use site::Site;
use view::Language;
use view::message::{About, Message};

/// An error as a page, for a visitor of whom nothing else is known.
pub(super) fn show_error(
    error: &HttpError,
    request_id: &str,
    request: Option<&Request>,
    site: &Site,
) -> Response {
    let accepted = request.and_then(|request| request.header("accept-language"));
    let language = Language::choose(None, accepted);
    // No error page shows a time.
    let shell = site.shell(language, Timestamp::from_unix(0));
    let again = request.and_then(|request| page_for(&request.path));
    let status = error.status.as_u16();
    let retry_after_seconds = error.retry_after().unwrap_or(1);
    let about = match (status, error.code) {
        (_, HttpError::CROSS_SITE | HttpError::STALE_FORM) => About::FormRefused {
            again: again.unwrap_or(visitor::return_address::HOME),
        },
        (404, _) => About::NotFound,
        (429, _) => About::TooMany {
            retry_after_seconds,
            offers_reset: false,
        },
        (503, _) => About::Unavailable {
            retry_after_seconds,
        },
        (500.., _) => About::ServerError { request_id },
        _ => About::BadRequest,
    };
    visitor::html(
        status,
        &Message {
            shell: &shell,
            about,
        },
    )
}

/// The path itself, if a page is there that can be opened.
fn page_of(path: &str) -> Option<&str> {
    let mut pages = ROUTES.iter().filter(|route| route.method == Method::GET);
    pages.any(|route| route.is_at(path)).then_some(path)
}

/// The page that has the form which posts to `path`, as far as the path tells: a page at the path itself or, for the buttons
/// of the administration, the closest one above it.
fn page_for(path: &str) -> Option<&str> {
    page_of(path).or_else(|| {
        let (above, _) = path.rsplit_once('/')?;
        above.starts_with("/admin").then(|| page_for(above))?
    })
}
