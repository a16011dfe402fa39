//! Errors of the front end, before the surface of a route gives them a form.
//!
//! Each error has a stable code for programs and a sentence for people. The codes of the service are
//! [`Code`]; those of HTTP itself are [`HttpCode`]. Each enum has one table that says which status a code has.

use std::borrow::Cow;

use http::StatusCode;
use schemars::JsonSchema;

use super::response::{Field, Response};
use crate::service::{Code, Error};

/// Seconds after which a client may try again when all connections are in use. Requests last milliseconds, sign-ins up
/// to a second or two.
const CONNECTION_RETRY_AFTER: u64 = 2;

/// What a client reads when the fault is the server's. The cause is in the log and nowhere else.
const SERVER_ERROR: &str =
    "The server could not answer this request. The cause is in its log, under the request's id.";

/// Longest `detail` of an error, in bytes. A detail can quote the request, which has up to 64 KiB.
const LONGEST_DETAIL: usize = 512;

/// Codes of errors that arise before the service is asked, or instead of an answer from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum HttpCode {
    /// The bytes are not a valid HTTP request, or they ended too early.
    MalformedRequest,
    /// The path does not have this method.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The body is longer than the server accepts.
    BodyTooLarge,
    /// The path and query are longer than the server accepts.
    TargetTooLong,
    /// The body has another media type than the route takes.
    UnsupportedMediaType,
    /// The `Expect` header asks for something else than `100-continue`.
    ExpectationFailed,
    /// The header fields are too long or too many.
    HeadTooLarge,
    /// The server failed. The cause is in its log.
    ServerError,
    /// `Transfer-Encoding` names another coding than `chunked`.
    UnknownTransferCoding,
    /// All connections are in use.
    Overloaded,
    /// The client's address has too many connections.
    TooManyConnections,
    /// The server cannot do this now: the disk is full, or too much is waiting.
    Unavailable,
    /// The `Host` header names another server.
    MisdirectedRequest,
    /// The request is not HTTP/1.1 or HTTP/1.0.
    VersionNotSupported,
}

impl HttpCode {
    /// The name in an answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            HttpCode::MalformedRequest => "malformed_request",
            HttpCode::MethodNotAllowed => "method_not_allowed",
            HttpCode::RequestTimeout => "request_timeout",
            HttpCode::BodyTooLarge => "body_too_large",
            HttpCode::TargetTooLong => "target_too_long",
            HttpCode::UnsupportedMediaType => "unsupported_media_type",
            HttpCode::ExpectationFailed => "expectation_failed",
            HttpCode::HeadTooLarge => "head_too_large",
            HttpCode::ServerError => "server_error",
            HttpCode::UnknownTransferCoding => "unknown_transfer_coding",
            HttpCode::Overloaded => "overloaded",
            HttpCode::TooManyConnections => "too_many_connections",
            HttpCode::Unavailable => "unavailable",
            HttpCode::MisdirectedRequest => "misdirected_request",
            HttpCode::VersionNotSupported => "version_not_supported",
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            HttpCode::MalformedRequest => StatusCode::BAD_REQUEST,
            HttpCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            HttpCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            HttpCode::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            HttpCode::TargetTooLong => StatusCode::URI_TOO_LONG,
            HttpCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            HttpCode::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            HttpCode::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            HttpCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            HttpCode::UnknownTransferCoding => StatusCode::NOT_IMPLEMENTED,
            HttpCode::Overloaded | HttpCode::TooManyConnections | HttpCode::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            HttpCode::MisdirectedRequest => StatusCode::MISDIRECTED_REQUEST,
            HttpCode::VersionNotSupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}

/// The status of each code of the service.
const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::InvalidRequest
        | Code::InvalidScope
        | Code::InvalidResetToken
        | Code::PasswordRequired
        | Code::InvalidVerificationToken
        | Code::UnauthorizedClient
        | Code::UnsupportedGrantType
        | Code::InvalidTarget
        | Code::UnsupportedTokenType
        | Code::AuthorizationPending
        | Code::SlowDown
        | Code::ExpiredToken => StatusCode::BAD_REQUEST,
        Code::InvalidCredentials
        | Code::InvalidGrant
        | Code::InvalidToken
        | Code::InvalidClient => StatusCode::UNAUTHORIZED,
        Code::InsufficientScope
        | Code::WrongPassword
        | Code::StepUpRequired
        | Code::PasswordChangeRequired
        | Code::RegistrationClosed
        | Code::InvitationRequired
        | Code::InvalidInvitation
        | Code::InvalidSetupToken
        | Code::AccessDenied
        | Code::NoMail => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::EmailTaken | Code::UsernameTaken | Code::LastAdministrator | Code::OwnAccount => {
            StatusCode::CONFLICT
        }
        Code::WeakPassword => StatusCode::UNPROCESSABLE_ENTITY,
        Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        Code::StorageLow => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Why the HTTP server refuses a request by itself, without a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of error, which decides the status.
    pub code: HttpCode,
    /// What was wrong, for people.
    pub detail: &'static str,
}

impl Refusal {
    /// A refusal with this code and these words.
    pub const fn new(code: HttpCode, detail: &'static str) -> Refusal {
        Refusal { code, detail }
    }
}

/// An error on its way to the client.
#[derive(Debug)]
pub struct HttpError {
    /// The status of the answer.
    pub(super) status: StatusCode,
    /// The stable name of the kind of error.
    pub(super) code: &'static str,
    /// What was wrong and what to do, for people.
    pub(super) detail: Cow<'static, str>,
    /// `Retry-After`, `WWW-Authenticate` or `Allow`.
    headers: Vec<Field>,
    /// For the log only.
    cause: Option<String>,
}

impl HttpError {
    fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> HttpError {
        HttpError {
            status,
            code,
            detail: shortened(detail.into()),
            headers: Vec::new(),
            cause: None,
        }
    }

    fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> HttpError {
        self.headers.push((name, value.into()));
        self
    }

    /// The client may try again after so many seconds.
    fn with_retry_after(self, seconds: u64) -> HttpError {
        self.with_header("retry-after", seconds.to_string())
    }

    fn of_service(code: Code, detail: impl Into<Cow<'static, str>>) -> HttpError {
        HttpError::new(status_of(code), code.as_str(), detail)
    }

    fn of_http(code: HttpCode, detail: impl Into<Cow<'static, str>>) -> HttpError {
        HttpError::new(code.status(), code.as_str(), detail)
    }

    /// 400: something in the request is wrong; `detail` says what.
    pub(super) fn invalid_request(detail: impl Into<Cow<'static, str>>) -> HttpError {
        HttpError::of_service(Code::InvalidRequest, detail)
    }

    /// 415: the body has another media type than `media_type`.
    pub(super) fn unsupported_media_type(media_type: &str) -> HttpError {
        let detail = format!("Send the body with `Content-Type: {media_type}`.");
        HttpError::of_http(HttpCode::UnsupportedMediaType, detail)
    }

    /// 401: there is no access token. RFC 6750 §3: the challenge has no error code then.
    pub(super) fn missing_token() -> HttpError {
        let detail = "Send an access token: `Authorization: Bearer …`.";
        HttpError::of_service(Code::InvalidToken, detail)
            .with_header("www-authenticate", "Bearer realm=\"authd\"")
    }

    /// 404: no route has this path.
    pub(super) fn no_such_path() -> HttpError {
        let detail = "There is nothing at this path. GET /openapi.json lists all paths.";
        HttpError::of_service(Code::NotFound, detail)
    }

    /// 421: the request is for another server.
    pub(super) fn misdirected() -> HttpError {
        let detail = "The Host header names another server. Use the public URL; a proxy has to pass on the Host header, or be \
                      listed in trusted_proxies.";
        HttpError::of_http(HttpCode::MisdirectedRequest, detail)
    }

    /// 404: there is no such thing; `detail` says what.
    pub(super) fn not_found(detail: &'static str) -> HttpError {
        HttpError::of_service(Code::NotFound, detail)
    }

    /// 404: the account has no session with this id.
    pub(super) fn no_such_session() -> HttpError {
        HttpError::of_service(Code::NotFound, "There is no such session.")
    }

    /// 405: the path has other methods, those that `allowed` lists.
    pub(super) fn method_not_allowed(allowed: String) -> HttpError {
        let detail = format!("This path takes {allowed}.");
        HttpError::of_http(HttpCode::MethodNotAllowed, detail).with_header("allow", allowed)
    }

    /// 500: a handler panicked.
    pub(super) fn server_error() -> HttpError {
        HttpError::of_http(HttpCode::ServerError, SERVER_ERROR)
    }

    /// The status in words.
    pub(super) fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    /// The code of a form that another site sent.
    pub(super) const CROSS_SITE: &str = "cross_site_request";

    /// The code of a form without the token of its visitor.
    pub(super) const STALE_FORM: &str = "stale_form";

    /// 403: another site caused the request.
    pub(super) fn cross_site_request() -> HttpError {
        let detail = "This form was not sent from a page of this server.";
        HttpError::new(StatusCode::FORBIDDEN, HttpError::CROSS_SITE, detail)
    }

    /// 403: the form has no token, or one of another visitor.
    pub(super) fn stale_form() -> HttpError {
        let detail = "This form is too old, or cookies are off. Open its page again.";
        HttpError::new(StatusCode::FORBIDDEN, HttpError::STALE_FORM, detail)
    }

    /// After how many seconds the client may try again, if that is known.
    pub(super) fn retry_after(&self) -> Option<u64> {
        let mut fields = self.headers.iter();
        let field = fields.find(|(name, _)| *name == "retry-after")?;
        field.1.parse().ok()
    }

    /// Writes the cause of a server error to the log.
    pub(super) fn log_cause(&self, request_id: &str) {
        if let Some(cause) = &self.cause {
            tracing::error!(request = request_id, cause, "a request failed");
        }
    }

    /// Adds the header fields of the error to its answer.
    pub(super) fn add_headers(self, response: Response) -> Response {
        self.headers
            .into_iter()
            .fold(response, |response, (name, value)| {
                response.header(name, value)
            })
    }
}

/// The beginning of a detail that is longer than [`LONGEST_DETAIL`].
fn shortened(detail: Cow<'static, str>) -> Cow<'static, str> {
    if detail.len() <= LONGEST_DETAIL {
        return detail;
    }
    let end = detail.floor_char_boundary(LONGEST_DETAIL);
    format!("{}…", &detail[..end]).into()
}

impl From<Error> for HttpError {
    fn from(error: Error) -> HttpError {
        match error {
            Error::No(code, detail) => {
                let refused = HttpError::of_service(code, detail);
                // RFC 6750 §3 and §3.1.
                let expired = "Bearer realm=\"authd\", error=\"invalid_token\"";
                let narrow =
                    "Bearer realm=\"authd\", error=\"insufficient_scope\", scope=\"admin\"";
                match code {
                    Code::InvalidToken => refused.with_header("www-authenticate", expired),
                    Code::InsufficientScope => refused.with_header("www-authenticate", narrow),
                    _ => refused,
                }
            }
            Error::Weak(weak) => HttpError::of_service(Code::WeakPassword, weak.to_string()),
            Error::Later(code, seconds) => {
                HttpError::of_service(code, error.to_string()).with_retry_after(seconds)
            }
            Error::Unavailable(seconds) => {
                HttpError::of_http(HttpCode::Unavailable, error.to_string())
                    .with_retry_after(seconds)
            }
            Error::Broken(cause) => HttpError {
                cause: Some(cause),
                ..HttpError::server_error()
            },
        }
    }
}

impl From<&Refusal> for HttpError {
    fn from(refusal: &Refusal) -> HttpError {
        let error = HttpError::of_http(refusal.code, refusal.detail);
        match refusal.code {
            HttpCode::Overloaded | HttpCode::TooManyConnections => {
                error.with_retry_after(CONNECTION_RETRY_AFTER)
            }
            // RFC 9110 §15.5.6 demands the header; the server as a whole has no methods.
            HttpCode::MethodNotAllowed => error.with_header("allow", ""),
            _ => error,
        }
    }
}
