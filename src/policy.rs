//! What an operator sets and the service obeys.
//!
//! [`Config`](crate::config::Config) makes the one [`Policy`] of a server; the service reads it and changes nothing in it.

use std::time::Duration;

use crate::password;

/// What an operator sets, and the service obeys.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Absolute URL of this server without a trailing slash: the `iss` and `aud` of its tokens.
    pub issuer: String,
    /// Who may make an account.
    pub registration: Registration,
    /// Whether an address has to be proven before there is an account.
    pub verification: Verification,
    /// What a password must be.
    pub password: password::Policy,
    /// How long an access token is valid; 1 minute to 1 hour.
    pub access_token_lifetime: Duration,
    /// A session that was not used for this long is over.
    pub session_idle_lifetime: Duration,
    /// A session is over this long after its sign-in, however often it was used.
    pub session_lifetime: Duration,
    /// How long a used refresh token yields the same successor again; 0 to 600 s, zero for not at all.
    pub replay_window: Duration,
    /// How long a key signs before the next one takes over.
    pub signing_key_lifetime: Duration,
    /// How long events are kept.
    pub event_retention: Duration,
    /// Whether mail is sent. Where it is not, the outbox takes no message.
    pub sends_mail: bool,
}

/// Who may make an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registration {
    /// Only operators.
    Closed,
    /// Anyone who holds an invitation.
    Invite,
    /// Anyone.
    Open,
}

/// Whether an address has to be proven before there is an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verification {
    /// An account shows whether its address was proven.
    Optional,
    /// A registration waits until its address is proven.
    Required,
}
