//! Errors on the wire: RFC 9457 problem details with a stable `code`.
//!
//! One table says which status each code has. A fault of the server's own is logged in full and answered without a
//! word about it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::response::Response;
use crate::service::{Code, Error};

/// A problem on its way out.
#[derive(Debug)]
pub struct Problem {
    status: u16,
    code: &'static str,
    detail: String,
    retry_after: Option<u64>,
    /// The `WWW-Authenticate` challenge (RFC 6750 §3).
    challenge: Option<&'static str>,
    /// For the log only.
    cause: Option<String>,
}

/// What every error looks like (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(in crate::http) struct Body<'a> {
    /// Always `about:blank`: the status and the code say it all.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// A stable name for the kind of problem.
    code: &'a str,
    /// What was wrong and what to do, for people.
    detail: &'a str,
    /// The name of this request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// The status of each code.
const fn status_of(code: Code) -> u16 {
    match code {
        Code::InvalidRequest
        | Code::InvalidScope
        | Code::InvalidResetToken
        | Code::PasswordRequired
        | Code::InvalidVerificationToken => 400,
        Code::InvalidCredentials | Code::InvalidGrant | Code::InvalidToken => 401,
        Code::WrongPassword
        | Code::PasswordChangeRequired
        | Code::RegistrationClosed
        | Code::InvitationRequired
        | Code::InvalidInvitation
        | Code::InvalidSetupToken
        | Code::NoMail => 403,
        Code::NotFound => 404,
        Code::EmailTaken | Code::UsernameTaken => 409,
        Code::WeakPassword => 422,
        Code::TooManyRequests => 429,
    }
}

const fn title_of(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

impl Problem {
    fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            code,
            detail: detail.into(),
            retry_after: None,
            challenge: None,
            cause: None,
        }
    }

    /// Something about the request itself.
    pub fn invalid_request(detail: impl Into<String>) -> Problem {
        Problem::new(400, Code::InvalidRequest.as_str(), detail)
    }

    /// The body is of another type than JSON.
    pub fn unsupported_media_type() -> Problem {
        Problem::new(
            415,
            "unsupported_media_type",
            "Send the body as JSON, with `Content-Type: application/json`.",
        )
    }

    /// RFC 6750 §3: without a token there is no error code in the challenge.
    pub fn missing_token() -> Problem {
        Problem {
            challenge: Some("Bearer realm=\"authd\""),
            ..Problem::new(
                401,
                Code::InvalidToken.as_str(),
                "This takes an access token: `Authorization: Bearer …`.",
            )
        }
    }

    /// The problem as a response.
    pub fn respond(self, request_id: &str) -> Response {
        if let Some(cause) = &self.cause {
            tracing::error!(request = request_id, cause, "a request failed");
        }
        let body = Body {
            r#type: "about:blank",
            title: title_of(self.status),
            status: self.status,
            code: self.code,
            detail: &self.detail,
            request_id: Some(request_id).filter(|id| !id.is_empty()),
        };
        let mut body = serde_json::to_vec(&body).unwrap_or_default();
        body.push(b'\n');
        let mut response = Response::new(self.status)
            .header("content-type", "application/problem+json")
            .with_body(body);
        if let Some(seconds) = self.retry_after {
            response = response.header("retry-after", seconds.to_string());
        }
        if let Some(challenge) = self.challenge {
            response = response.header("www-authenticate", challenge);
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        match error {
            Error::No(code, detail) => Problem {
                challenge: match code {
                    Code::InvalidToken => Some("Bearer realm=\"authd\", error=\"invalid_token\""),
                    _ => None,
                },
                ..Problem::new(status_of(code), code.as_str(), detail)
            },
            Error::Later(code, seconds) => Problem {
                retry_after: Some(seconds),
                ..Problem::new(
                    status_of(code),
                    code.as_str(),
                    Error::Later(code, seconds).to_string(),
                )
            },
            Error::Unavailable(seconds) => Problem {
                retry_after: Some(seconds),
                ..Problem::new(503, "unavailable", Error::Unavailable(seconds).to_string())
            },
            Error::Broken(cause) => Problem {
                cause: Some(cause),
                ..Problem::new(
                    500,
                    "server_error",
                    "Something went wrong here. It was logged under the request's id.",
                )
            },
        }
    }
}

/// How the HTTP engine answers what never becomes a request.
pub fn refusal(status: u16, code: &'static str, detail: &'static str) -> Response {
    let problem = Problem {
        retry_after: (status == 503).then_some(RETRY_OVERLOAD),
        ..Problem::new(status, code, detail)
    };
    problem
        .respond("")
        .header("cache-control", "no-store")
        .header("x-content-type-options", "nosniff")
}

/// When to try again after the engine had no connection or thread left, in seconds.
const RETRY_OVERLOAD: u64 = 2;

pub(in crate::http) fn server_error(request_id: &str) -> Response {
    let detail = "Something went wrong here. It was logged under the request's id.";
    Problem::new(500, "server_error", detail).respond(request_id)
}

pub(in crate::http) fn no_such_path(request_id: &str) -> Response {
    let detail = "There is nothing at this path. GET /openapi.json lists what there is.";
    Problem::new(404, Code::NotFound.as_str(), detail).respond(request_id)
}

pub(in crate::http) fn method_not_allowed(allowed: &str, request_id: &str) -> Response {
    let detail = format!("This path takes {allowed}.");
    Problem::new(405, "method_not_allowed", detail)
        .respond(request_id)
        .header("allow", allowed.to_owned())
}
