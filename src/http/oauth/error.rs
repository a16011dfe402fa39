//! Errors as apps read them: `{"error": …, "error_description": …}` (RFC 6749 §5.2), and for the userinfo endpoint a challenge
//! too (RFC 6750 §3).

use http::StatusCode;
use serde::Serialize;

use crate::http::error::HttpError;
use crate::http::response::Response;
use crate::service::plain_words;

#[derive(Serialize)]
struct OAuthError<'a> {
    error: &'a str,
    error_description: String,
}

/// Errors of RFC 6749 §5.2 and its extensions that are answered with status 400. The API has another status for some.
const BAD_REQUESTS: [&str; 12] = [
    "invalid_request",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "unsupported_token_type",
    "authorization_pending",
    "slow_down",
    "expired_token",
    "access_denied",
    "invalid_credentials",
];

/// The error as a response, without its own headers.
pub fn respond(error: &HttpError) -> Response {
    let (status, code) = match (error.status, error.code) {
        (_, code) if BAD_REQUESTS.contains(&code) => (StatusCode::BAD_REQUEST, code),
        (status, "invalid_client" | "invalid_token" | "insufficient_scope") => (status, error.code),
        (StatusCode::SERVICE_UNAVAILABLE, _) => (error.status, "temporarily_unavailable"),
        (status, _) if status.is_server_error() => (status, "server_error"),
        (status, _) => (status, "invalid_request"),
    };
    let body = OAuthError {
        error: code,
        error_description: plain_words(&error.detail),
    };
    let response = Response::json(status.as_u16(), &body).header("pragma", "no-cache");
    match code {
        "invalid_client" => response.header(
            "www-authenticate",
            "Basic realm=\"authd\", charset=\"UTF-8\"",
        ),
        _ => response,
    }
}
