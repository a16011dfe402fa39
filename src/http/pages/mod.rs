//! What a person sees who opens one of the server's addresses in a browser: plain text today.
//!
//! Every page is a GET and changes nothing: mail programs and virus scanners open links before people do (req 28,
//! req 40).

pub(super) mod front;
pub(super) mod links;

use super::error::HttpError;
use super::response::Response;

/// An error as a page.
pub(super) fn show_error(error: &HttpError, request_id: &str) -> Response {
    let status = error.status.as_u16();
    let mut text = format!("{status} {}\n\n{}\n", error.title(), error.detail);
    if !request_id.is_empty() {
        text += &format!("\nThe request's id is {request_id}.\n");
    }
    Response::text(status, &text)
}
