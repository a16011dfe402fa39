//! What a caller sees of a no.

use std::fmt;

use schemars::JsonSchema;

use crate::password::{Overloaded, Weak};
use crate::store::Broken;

/// A stable name for what was wrong; it goes over the wire as it is. RFC 6749 and RFC 6750 names where they exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Code {
    /// Something in the request is not as it should be; the detail says what.
    InvalidRequest,
    /// No such login, not that password, or the account may not sign in: one answer for all.
    InvalidCredentials,
    /// The scope has a word that is not known (RFC 6749 §4.1.2.1).
    InvalidScope,
    /// The refresh token is not, or no longer, good for anything (RFC 6749 §5.2).
    InvalidGrant,
    /// The client is unknown or did not authenticate (RFC 6749 §5.2).
    #[schemars(skip)] // of the endpoints of OAuth alone
    InvalidClient,
    /// The client is not registered for what it asks (RFC 6749 §5.2).
    #[schemars(skip)] // of the endpoints of OAuth alone
    UnauthorizedClient,
    /// The grant type is not known (RFC 6749 §5.2).
    #[schemars(skip)] // of the endpoints of OAuth alone
    UnsupportedGrantType,
    /// The resource is unknown, or not the client's (RFC 8707 §2).
    #[schemars(skip)] // of the endpoints of OAuth alone
    InvalidTarget,
    /// The token is of a kind that cannot be revoked (RFC 7009 §2.2.1).
    #[schemars(skip)] // of the endpoints of OAuth alone
    UnsupportedTokenType,
    /// The account owner, or this server, refused what the app asked for (RFC 6749 §4.1.2.1).
    #[schemars(skip)] // of the endpoints of OAuth alone
    AccessDenied,
    /// The device asks before the person has answered (RFC 8628 §3.5).
    #[schemars(skip)] // of the endpoints of OAuth alone
    AuthorizationPending,
    /// The device asks too often (RFC 8628 §3.5).
    #[schemars(skip)] // of the endpoints of OAuth alone
    SlowDown,
    /// The device's code has expired (RFC 8628 §3.5).
    #[schemars(skip)] // of the endpoints of OAuth alone
    ExpiredToken,
    /// The access token is not, or no longer, good (RFC 6750 §3.1).
    InvalidToken,
    /// The access token does not have the scope that this takes, or its account is no administrator (RFC 6750 §3.1).
    InsufficientScope,
    /// The current password that a change asks for is wrong.
    WrongPassword,
    /// The browser session was authenticated too long ago for this.
    StepUpRequired,
    /// The link completes a registration, and takes its password too.
    PasswordRequired,
    /// The password was set by an operator and has to be changed with this sign-in.
    PasswordChangeRequired,
    /// The password is too short, too common or too close to the account.
    WeakPassword,
    /// Registration is closed.
    RegistrationClosed,
    /// Registration takes an invitation.
    InvitationRequired,
    /// The invitation was used or withdrawn, has expired, is for another address, or never existed.
    InvalidInvitation,
    /// The set-up link was used, replaced, or never existed.
    InvalidSetupToken,
    /// The reset link was used or replaced, has expired, or never existed.
    InvalidResetToken,
    /// The link that proves an address was used or replaced, has expired, or never existed.
    InvalidVerificationToken,
    /// This server sends no mail.
    NoMail,
    /// Another account has this e-mail address.
    EmailTaken,
    /// Another account has this username.
    UsernameTaken,
    /// It would leave the server without an administrator.
    LastAdministrator,
    /// An administrator cannot do this to the own account.
    OwnAccount,
    /// There is no such thing, or it is not the caller's.
    NotFound,
    /// Too many tries; the error says when to come back.
    TooManyRequests,
    /// Storage is short, so nothing is stored for clients without an account; the error says when to come back.
    StorageLow,
}

impl Code {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::InvalidRequest => "invalid_request",
            Code::InvalidCredentials => "invalid_credentials",
            Code::InvalidScope => "invalid_scope",
            Code::InvalidGrant => "invalid_grant",
            Code::InvalidClient => "invalid_client",
            Code::UnauthorizedClient => "unauthorized_client",
            Code::UnsupportedGrantType => "unsupported_grant_type",
            Code::InvalidTarget => "invalid_target",
            Code::UnsupportedTokenType => "unsupported_token_type",
            Code::AccessDenied => "access_denied",
            Code::AuthorizationPending => "authorization_pending",
            Code::SlowDown => "slow_down",
            Code::ExpiredToken => "expired_token",
            Code::InvalidToken => "invalid_token",
            Code::InsufficientScope => "insufficient_scope",
            Code::WrongPassword => "wrong_password",
            Code::StepUpRequired => "step_up_required",
            Code::PasswordRequired => "password_required",
            Code::PasswordChangeRequired => "password_change_required",
            Code::WeakPassword => "weak_password",
            Code::RegistrationClosed => "registration_closed",
            Code::InvitationRequired => "invitation_required",
            Code::InvalidInvitation => "invalid_invitation",
            Code::InvalidSetupToken => "invalid_setup_token",
            Code::InvalidResetToken => "invalid_reset_token",
            Code::InvalidVerificationToken => "invalid_verification_token",
            Code::NoMail => "no_mail",
            Code::EmailTaken => "email_taken",
            Code::UsernameTaken => "username_taken",
            Code::LastAdministrator => "last_administrator",
            Code::OwnAccount => "own_account",
            Code::NotFound => "not_found",
            Code::TooManyRequests => "too_many_requests",
            Code::StorageLow => "storage_low",
        }
    }
}

/// Why something was not done.
#[derive(Debug)]
pub enum Error {
    /// Refused or invalid: the caller can do something about it, and the text says what.
    No(Code, String),
    /// The new password is too weak ([`Code::WeakPassword`]).
    Weak(Weak),
    /// Not now: come back after this many seconds.
    Later(Code, u64),
    /// The server cannot do it at the moment (no space, too much work); come back after this many seconds.
    Unavailable(u64),
    /// A fault of the server's own. The text is for its log, never for the caller.
    Broken(String),
}

/// When to try again after an overload or a locked file, in seconds: long enough for a queue to drain.
const SHORT_WHILE: u64 = 2;

/// When to try again after a full disk: an operator has to make room.
const LONG_WHILE: u64 = 10;

/// When to try again while storage is short, in seconds.
const UNTIL_ROOM: u64 = 60;

impl Error {
    pub(super) fn no(code: Code, detail: impl Into<String>) -> Error {
        Error::No(code, detail.into())
    }

    /// Nothing is stored for strangers now.
    pub(super) fn storage_low() -> Error {
        Error::Later(Code::StorageLow, UNTIL_ROOM)
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Error {
        Error::No(Code::InvalidRequest, detail.into())
    }

    pub(super) fn not_found(what: &str) -> Error {
        Error::No(Code::NotFound, format!("There is no such {what}."))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::No(_, detail) => f.write_str(detail),
            Error::Weak(weak) => weak.fmt(f),
            Error::Later(Code::StorageLow, seconds) => write!(
                f,
                "This server is short of storage, and takes neither registrations nor requests for links. Its operator \
                 has to make room. Try again in {}.",
                Seconds(*seconds)
            ),
            Error::Later(_, seconds) => {
                write!(f, "Too many tries. Try again in {}.", Seconds(*seconds))
            }
            Error::Unavailable(seconds) => {
                let wait = Seconds(*seconds);
                write!(f, "The server cannot do this now. Try again in {wait}.")
            }
            Error::Broken(text) => f.write_str(text),
        }
    }
}

/// A wait in words.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("a second"),
            seconds @ ..120 => write!(f, "{seconds} seconds"),
            seconds => write!(f, "{} minutes", seconds.div_ceil(60)),
        }
    }
}

impl std::error::Error for Error {}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Error {
        match broken {
            Broken::Busy | Broken::Stopped => Error::Unavailable(SHORT_WHILE),
            Broken::Full | Broken::ReadOnly => Error::Unavailable(LONG_WHILE),
            other => Error::Broken(other.to_string()),
        }
    }
}

impl From<Overloaded> for Error {
    fn from(_: Overloaded) -> Error {
        Error::Unavailable(SHORT_WHILE)
    }
}

impl From<Weak> for Error {
    fn from(weak: Weak) -> Error {
        Error::Weak(weak)
    }
}

/// What cannot happen while the schema holds: for the log.
pub(super) fn unexpected(what: impl Into<String>) -> Broken {
    Broken::Database(what.into())
}

/// The one answer to a bearer token that is no good.
pub(super) fn invalid_token() -> Error {
    Error::no(
        Code::InvalidToken,
        "The access token is not valid (any more). Refresh it, or sign in again.",
    )
}

/// A browser session that was authenticated too long ago for what is asked.
pub(super) fn step_up_required() -> Error {
    Error::no(
        Code::StepUpRequired,
        "Enter your password again for this: you signed in more than ten minutes ago.",
    )
}
