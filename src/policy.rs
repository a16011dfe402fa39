//! The settings of an operator that the service follows.
//!
//! [`Config`](crate::config::Config) makes the one [`Policy`] of a server. The service reads it and never changes it.

use std::time::Duration;

use crate::password;

/// The settings of an operator that the service follows.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Absolute URL of this server without a trailing slash: the `iss` and `aud` of its tokens.
    pub issuer: String,
    /// Who may create an account.
    pub registration: Registration,
    /// Whether an e-mail address must be verified before the account is created.
    pub verification: Verification,
    /// The rules for new passwords.
    pub password: password::Policy,
    /// How long an access token is valid; 1 minute to 1 hour.
    pub access_token_lifetime: Duration,
    /// A session ends when it was not used for this long.
    pub session_idle_lifetime: Duration,
    /// A session ends this long after its sign-in, even if it is in use.
    pub session_lifetime: Duration,
    /// How long a used refresh token yields the same successor again; 0 to 600 s. With 0, it never does.
    pub replay_window: Duration,
    /// How long a key signs tokens before the next key replaces it.
    pub signing_key_lifetime: Duration,
    /// How long events are kept.
    pub event_retention: Duration,
    /// Whether this server sends mail. If not, no message is put into the outbox.
    pub sends_mail: bool,
}

/// Who may create an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registration {
    /// Only operators.
    Closed,
    /// Anyone who holds an invitation.
    Invite,
    /// Anyone.
    Open,
}

/// Whether an e-mail address must be verified before the account is created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verification {
    /// No. The account shows whether its address is verified.
    Optional,
    /// Yes. A registration waits until its address is verified.
    Required,
}
